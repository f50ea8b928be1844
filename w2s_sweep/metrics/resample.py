"""Bootstrap resamples of a test set, drawn once.

A resample is a column of weights: how often it holds each example. The same (examples, resamples, seed) always gives
the same weights, so every cell, role and loss on one test set is compared on the same resamples.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Weights

CHUNK = 2_000_000
"""Draws made at a time, which bounds the memory needed besides the result to about 50 MB."""


@lru_cache(maxsize=2)
def weights(examples: int, resamples: int, seed: int) -> Weights:
    """float32 counts of `examples` draws with replacement for each resample; read-only, shared by all callers."""
    rng, found = np.random.default_rng(seed), np.empty((examples, resamples), dtype=np.float32)
    step = max(1, CHUNK // max(1, examples))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        draws = rng.integers(0, examples, size=(count, examples)) + np.arange(count)[:, None] * examples
        counts = np.bincount(draws.ravel(), minlength=count * examples)
        found[:, start : start + count] = counts.reshape(count, examples).T
    found.flags.writeable = False
    return found
