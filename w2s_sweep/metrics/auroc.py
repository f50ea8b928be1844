"""AUROC of the probability margin, ties counting one half. Its sampling error is that of DeLong's placements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.metrics.base import METRICS, Metric

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Hits, PerExample, Probs, Rows, Truth


class Auroc(Metric):
    name = "auroc"
    label = "AUROC"
    about = "of the probability margin, ties count one half; of k classes the mean of each against the rest"

    def value(self, probs: Probs, truth: Truth) -> float | None:
        return auroc(probs, truth)

    def chance(self, classes: int) -> float:
        return 0.5

    def why_unfit(self, kind: str) -> str | None:
        return "a generation task, whose answers are right or wrong" if kind == "generate" else None

    def scores(self, probs: Probs, truth: Truth) -> PerExample | None:
        """The AUROC plus the example's placement among the other class, centred and scaled (DeLong et al. 1988).

        Groups of examples add up (Obuchowski 1997). More than two classes: the mean over classes, as in `auroc`.
        """
        if no_auroc(probs, truth) is not None:
            return None
        return np.mean([_placements(margins(probs, c), truth == c) for c in ranked_classes(probs)], axis=0)


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


def _placements(margin: PerExample, positive: Hits) -> PerExample:
    """Of one class: the share of the other kind that each example is on the right side of, scaled to its own kind."""
    placed, above = np.empty(len(margin)), _count_below(margin[positive], margin[~positive])
    n = len(above)
    area = float(above.sum() / (n * (len(margin) - n)))  # halves, so that the sum is exact: that of the ranks
    for own, below in ((positive, above), (~positive, _count_below(margin[~positive], margin[positive]))):
        right = below / (len(margin) - len(below))
        right = right if own is positive else 1 - right
        placed[own] = area + (right - area) * len(margin) / len(below)
    return placed


def _count_below(mine: Rows, others: Array) -> Rows:
    """How many of the others are below each of mine, ties counting 1/2."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, mine, "left") + np.searchsorted(ordered, mine, "right")) / 2
