"""Bootstrap resamples of a test set, drawn once, and what a metric is on each of them.

A resample is a column of weights: how often it holds each example. The same (examples, resamples, seed) always gives
the same weights, so every cell, role and loss on one test set is compared on the same resamples.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from w2s_sweep.metrics.classification import hits, margins, no_auroc, ranked_classes

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import PerResample, Probs, Truth, Weights

Array = np.ndarray[Any, Any]
MetricName = Literal["accuracy", "auroc"]
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


def resampled(metric: MetricName, probs: Probs, truth: Truth, drawn: Weights) -> PerResample:
    """The metric on every resample, float64; AUROC is NaN where a class is missing from the resample."""
    if metric == "accuracy":
        counts = hits(probs, truth).astype(np.float32) @ drawn  # whole numbers below 2^24: exact in float32
        return counts.astype(np.float64) / len(truth)
    if no_auroc(probs, truth) is not None:
        return np.full(drawn.shape[1], np.nan)
    areas = [_aurocs(margins(probs, c), truth == c, drawn) for c in ranked_classes(probs)]
    return np.mean(areas, axis=0)


def _aurocs(margin: Array, positive: Array, drawn: Weights) -> PerResample:
    """AUROC of one class on every resample, in one pass over the examples by rising margin.

    A loop over examples with a vector operation over resamples keeps its three vectors in the processor's cache: it is
    several times faster than sorted, cumulated copies of the weights.
    """
    order = np.lexsort((positive, margin))  # within a tie the negatives come first
    new_margin = np.diff(margin[order], prepend=-np.inf) > 0
    below, up_to_tied = np.zeros((2, drawn.shape[1]), dtype=np.float32)
    twice_wins = np.zeros(drawn.shape[1])
    for i, is_new, is_positive in zip(order, new_margin, positive[order], strict=True):
        if is_new:
            below[:] = up_to_tied
        if is_positive:
            twice_wins += drawn[i] * (below + up_to_tied)
        else:
            up_to_tied += drawn[i]
    negatives = up_to_tied.astype(np.float64)
    twice_pairs = 2 * negatives * (len(margin) - negatives)
    return np.divide(twice_wins, twice_pairs, out=np.full(len(twice_wins), np.nan), where=twice_pairs > 0)
