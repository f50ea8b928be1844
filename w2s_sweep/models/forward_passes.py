"""Forward passes over many rows, kept row by row, so that work that is stopped can go on from there."""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from w2s_sweep.errors import ModelError
from w2s_sweep.models.ranks import this_process

log = logging.getLogger(__name__)


class Passes:
    """What is known of the rows so far. This one begins with nothing and keeps nothing beyond its life."""

    def begin(self, rows: int, width: int) -> None:
        self.values = np.zeros((rows, width), dtype=np.float32)
        self.done = np.zeros(rows, dtype=bool)

    def after_batch(self) -> None:
        """Called after each forward pass, of several ranks by all; may raise to stop the work."""


def over_rows(
    batches: Sequence[list[int]],
    width: int,
    compute: Callable[[list[int]], Tensor],
    passes: Passes,
) -> np.ndarray:
    """float32 [rows, width]: `compute` [batch, width] of the rows of each batch; together they have every row once.

    What `passes` already has of a whole batch is not computed again, and a batch is computed whole, so a stop changes
    no bit. Several ranks, each with a whole model, take a batch each at a time: neither does their number.
    """
    passes.begin(sum(map(len, batches)), width)
    ranks, waiting = this_process(), [rows for rows in batches if not passes.done[rows].all()]
    for start in range(0, len(waiting), ranks.size):
        turn = waiting[start : start + ranks.size]
        own = _values(turn[ranks.rank], compute) if ranks.rank < len(turn) else torch.empty(0, width)
        for rows, values in zip(turn, ranks.exchange(own, [*map(len, turn)]), strict=True):
            passes.values[rows] = values.numpy()
            passes.done[rows] = True
        passes.after_batch()
    return passes.values


def _values(rows: list[int], compute: Callable[[list[int]], Tensor]) -> Tensor:
    """float32 [rows, width] on the CPU, in as many passes as memory asks for."""
    waiting, found = [rows], list[Tensor]()
    while waiting:
        part = waiting.pop(0)
        try:
            found.append(compute(part).float().cpu())
        except torch.cuda.OutOfMemoryError as error:
            reason = str(error)
        else:
            continue
        # Here and not above: an exception that is handled keeps the frames, and with them the tensors, alive.
        waiting[:0] = _halves(part, reason)
        torch.cuda.empty_cache()  # does nothing where no GPU is in use
    return torch.cat(found)


def _halves(rows: list[int], reason: str) -> list[list[int]]:
    """A batch that did not fit into memory, in two; ModelError where it is a single row."""
    if len(rows) == 1:
        raise ModelError(
            "out of memory: a forward pass of a single text does not fit. Lower dataset.max_tokens, keep fewer layers "
            f"of the model, or ask for a larger GPU. {reason}"
        )
    log.warning("out of memory: %d rows are computed in two passes. %s", len(rows), reason)
    return [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
