"""Is a mean of paired differences other than 0? Their signs are flipped: by chance, either is as likely."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np

from w2s_sweep.arrays import Array

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Signs

EXACT = 14
"""With up to so many differences all 2^n patterns of signs are tried."""
FLIPS = 100_000
"""Random patterns beyond that."""


def sign_flip(differences: Sequence[float]) -> float | None:
    """Two-sided p: share of the patterns of signs whose sum is at least as far from 0 as that of the differences.

    It is never below `smallest_p`, .25 for three differences: few tasks cannot give a small p. None for fewer than two.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return None
    reached = abs(values.sum()) - 1e-9 * max(1e-300, float(np.abs(values).sum()))  # equal sums may differ by rounding
    far = int((np.abs(_signs(len(values)) @ values) >= reached).sum())
    if len(values) <= EXACT:
        return far / 2 ** (len(values) - 1)
    return (far + 1) / (FLIPS + 1)


def smallest_p(pairs: int) -> float:
    """The smallest p that `sign_flip` can give for so many differences."""
    return 2.0 ** (1 - pairs) if pairs <= EXACT else 1 / (FLIPS + 1)


@lru_cache(maxsize=2)
def _signs(count: int) -> Signs:
    """[patterns, count] of +1 and -1. The first sign of the exact ones is +1: the other half mirrors them."""
    if count <= EXACT:
        bits = cast(Array, np.arange(2 ** (count - 1))[:, None] >> np.arange(count)[None, :] & 1)
    else:
        bits = np.random.default_rng(0).integers(0, 2, size=(FLIPS, count), dtype=np.int8)
    return (1 - 2 * bits.astype(np.int8)).astype(np.float32 if count > EXACT else np.float64)
