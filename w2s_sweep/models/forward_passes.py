"""Forward passes over many rows, kept row by row, so that work that is stopped can go on from there."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from w2s_sweep.data.batches import micro_batches


class Passes:
    """What is known of the rows so far. This one begins with nothing and keeps nothing beyond its life."""

    def begin(self, rows: int, width: int) -> None:
        self.values = np.zeros((rows, width), dtype=np.float32)
        self.done = np.zeros(rows, dtype=bool)

    def after_batch(self) -> None:
        """Called after each forward pass; may raise to stop the work."""


def over_rows(
    lengths: Sequence[int],
    width: int,
    compute: Callable[[list[int]], Tensor],
    token_budget: int,
    passes: Passes,
) -> np.ndarray:
    """float32 [rows, width]: `compute` [batch, width] of each row, at most `token_budget` padded tokens at a time.

    What `passes` already has of a whole batch is not computed again. Batches follow from `lengths` and `token_budget`
    alone, so a stop changes no bit.
    """
    passes.begin(len(lengths), width)
    for rows in micro_batches(lengths, range(len(lengths)), token_budget):
        if not passes.done[rows].all():
            passes.values[rows] = compute(rows).float().cpu().numpy()
            passes.done[rows] = True
            passes.after_batch()
    return passes.values
