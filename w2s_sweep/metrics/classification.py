"""How good predictions are against the truth: accuracy, AUROC, calibration. None where a number would mean nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from w2s_sweep.metrics.means import OfMeans, mean

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Hits, Probs, Truth

Array = np.ndarray[Any, Any]


def predicted(probs: Probs) -> Truth:
    """The most likely class of each example; the lowest of those that tie."""
    return probs.argmax(1)


def hits(probs: Probs, truth: Truth) -> Hits:
    """Whether the most likely class is the true one."""
    return predicted(probs) == truth


def accuracy(probs: Probs, truth: Truth) -> float | None:
    """Share of examples whose most likely class is the true one; None without examples."""
    return float(hits(probs, truth).mean()) if len(truth) else None


def margins(probs: Probs, positive: int = 1) -> Array:
    """float64 [examples]: how much more likely `positive` is than not (two classes: p_1 - p_0)."""
    p = probs.astype(np.float64)
    return p[:, positive] - (p.sum(1) - p[:, positive])


def ranked_classes(probs: Probs) -> range:
    """The classes whose AUROCs are averaged: only class 1 of two, since class 0 gives the same number."""
    return range(1, 2) if probs.shape[1] == 2 else range(probs.shape[1])


def no_auroc(probs: Probs, truth: Truth) -> str | None:
    """Why the AUROC of these predictions is undefined, or None where it is defined."""
    if len(truth) == 0:
        return "there are no examples"
    absent = [c for c in ranked_classes(probs) if not 0 < np.count_nonzero(truth == c) < len(truth)]
    if not absent:
        return None
    return f"only class {truth[0]} occurs" if (truth == truth[0]).all() else f"class {absent[0]} does not occur"


def auroc(probs: Probs, truth: Truth) -> float | None:
    """Probability that a random positive has a larger margin than a random negative, ties counting 1/2.

    More than two classes: the mean over classes of one against the rest. None where `no_auroc` says why.
    """
    if no_auroc(probs, truth) is not None:
        return None
    areas = [binary_auroc(margins(probs, c), truth == c) for c in ranked_classes(probs)]
    return float(np.mean(areas))


def binary_auroc(margin: Array, positive: Array) -> float:
    """AUROC of one class by mean ranks (Mann and Whitney); both kinds of example must occur."""
    _, group, counts = np.unique(margin, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    n = int(positive.sum())
    rank_sum = mean_rank[group][positive].sum()
    return float((rank_sum - n * (n + 1) / 2) / (n * (len(positive) - n)))


def brier(probs: Probs, truth: Truth) -> OfMeans:
    """Mean of sum_k (p_k - [k = truth])^2 / 2, in [0, 1]; for two classes the mean of (p_1 - truth)^2."""
    off = probs.astype(np.float64)
    off[np.arange(len(truth)), truth] -= 1
    return mean((off**2).sum(1) / 2)


def ece(probs: Probs, truth: Truth, bins: int = 15) -> OfMeans:
    """Expected calibration error of the most likely class, in [0, 1] (Guo et al. 2017, arXiv 1706.04599).

    Mean over examples of |accuracy - mean confidence| of the example's bin; `bins` of equal width over [0, 1].
    """
    confidence = probs.max(1).astype(np.float64)
    member = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.zeros((len(truth), bins))
    gaps[np.arange(len(truth)), member] = hits(probs, truth) - confidence
    return OfMeans(gaps[:, gaps.any(0)], lambda means: np.abs(means).sum(0))
