"""Forward passes over many rows, kept row by row, so that work that is stopped can go on from there."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor


class Passes:
    """What is known of the rows so far. This one begins with nothing and keeps nothing beyond its life."""

    def begin(self, rows: int, width: int) -> None:
        self.values = np.zeros((rows, width), dtype=np.float32)
        self.done = np.zeros(rows, dtype=bool)

    def after_batch(self) -> None:
        """Called after each forward pass; may raise to stop the work."""


def over_rows(
    batches: Sequence[list[int]],
    width: int,
    compute: Callable[[list[int]], Tensor],
    passes: Passes,
) -> np.ndarray:
    """float32 [rows, width]: `compute` [batch, width] of the rows of each batch; together they have every row once.

    What `passes` already has of a whole batch is not computed again, and a batch is computed whole, so a stop changes
    no bit.
    """
    passes.begin(sum(map(len, batches)), width)
    for rows in batches:
        if not passes.done[rows].all():
            passes.values[rows] = compute(rows).float().cpu().numpy()
            passes.done[rows] = True
            passes.after_batch()
    return passes.values
