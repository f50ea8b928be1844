"""AUROC of the probability margin, ties counting one half. Paired by DeLong's test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from w2s_sweep.metrics.base import METRICS, Metric

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Hits, PerExample, PerResample, Probs, Truth, Weights


class Auroc(Metric):
    name = "auroc"
    label = "AUROC"
    about = "of the probability margin, ties count one half"
    test = "DeLong"
    test_text = "DeLong's test"

    def value(self, probs: Probs, truth: Truth) -> float | None:
        return auroc(probs, truth)

    def chance(self, classes: int) -> float:
        return 0.5

    def why_unfit(self, kind: str) -> str | None:
        return "a generation task, whose answers are right or wrong" if kind == "generate" else None

    def resample(self, probs: Probs, truth: Truth, drawn: Weights) -> PerResample:
        """NaN where a class is missing from the resample."""
        if no_auroc(probs, truth) is not None:
            return np.full(len(drawn.T), np.nan)
        areas = [_binary_resample(margins(probs, c), truth == c, drawn) for c in ranked_classes(probs)]
        return np.mean(areas, axis=0)

    def influence(self, probs: Probs, truth: Truth) -> PerExample | None:
        """DeLong et al. (1988); more than two classes: the mean over classes, as in `auroc`. They sum to 0."""
        if no_auroc(probs, truth) is not None:
            return None
        return np.mean([_binary_influence(margins(probs, c), truth == c) for c in ranked_classes(probs)], axis=0)


METRICS.register(Auroc.name, Auroc())


def auroc(probs: Probs, truth: Truth) -> float | None:
    """Probability that a random positive has a larger margin than a random negative, ties counting 1/2.

    More than two classes: the mean over classes of one against the rest. None where `no_auroc` says why.
    """
    if no_auroc(probs, truth) is not None:
        return None
    areas = [binary_auroc(margins(probs, c), truth == c) for c in ranked_classes(probs)]
    return float(np.mean(areas))


def no_auroc(probs: Probs, truth: Truth) -> str | None:
    """Why the AUROC of these predictions is undefined, or None where it is defined."""
    if len(truth) == 0:
        return "there are no examples"
    absent = [c for c in ranked_classes(probs) if not 0 < np.count_nonzero(truth == c) < len(truth)]
    if not absent:
        return None
    return f"only class {truth[0]} occurs" if (truth == truth[0]).all() else f"class {absent[0]} does not occur"


def margins(probs: Probs, positive: int = 1) -> PerExample:
    """How much more likely `positive` is than not (two classes: p_1 - p_0)."""
    p = probs.astype(np.float64)
    return p[:, positive] - (p.sum(1) - p[:, positive])


def ranked_classes(probs: Probs) -> range:
    """The classes whose AUROCs are averaged: only class 1 of two, since class 0 gives the same number."""
    return range(1, 2) if probs.shape[1] == 2 else range(probs.shape[1])


def binary_auroc(margin: PerExample, positive: Hits) -> float:
    """AUROC of one class by mean ranks (Mann and Whitney); both kinds of example must occur."""
    _, group, counts = np.unique(margin, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    n = int(positive.sum())
    rank_sum = mean_rank[group][positive].sum()
    return float((rank_sum - n * (n + 1) / 2) / (n * (len(positive) - n)))


def _binary_influence(margin: PerExample, positive: Hits) -> PerExample:
    placed = np.empty(len(margin))
    for own in (True, False):
        mine, others = margin[positive == own], np.sort(margin[positive != own])
        below = (np.searchsorted(others, mine, "left") + np.searchsorted(others, mine, "right")) / 2 / len(others)
        placed[positive == own] = ((below if own else 1 - below) - binary_auroc(margin, positive)) / len(mine)
    return placed


def _binary_resample(margin: PerExample, positive: Hits, drawn: Weights) -> PerResample:
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
