"""AUROC of the probability margin, ties counting one half. Its sampling error is that of DeLong's placements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.metrics.base import METRICS, Metric

if TYPE_CHECKING:
    from w2s_sweep.metrics.further import RolePredictions
    from w2s_sweep.metrics.shapes import Hits, PerExample, Probs, SeveralProbs, SeveralScores, Truth


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
        return _scores(probs[None], truth)[0]

    def scores_of_each(self, probs: SeveralProbs, role: RolePredictions) -> Sequence[PerExample | None]:
        return _scores(probs, role.truth)


METRICS.register(Auroc.name, Auroc())


def _scores(probs: SeveralProbs, truth: Truth) -> Sequence[PerExample | None]:
    if no_auroc(probs[0], truth) is not None:  # which depends on the truth alone
        return [None] * len(probs)
    return [*np.mean([_placements(margins(probs, c), truth == c) for c in ranked_classes(probs[0])], axis=0)]


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


def margins(probs: Array, positive: int = 1) -> Array:
    """[...] how much more likely `positive` is than not (two classes: p_1 - p_0), of probabilities [..., classes]."""
    p = probs.astype(np.float64)
    return p[..., positive] - (p.sum(-1) - p[..., positive])


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


def _placements(margin: SeveralScores, positive: Hits) -> SeveralScores:
    """Of one class and several sets of margins: the share of the other kind that each example is on the right side of,
    scaled to its own kind."""
    count, of_class = len(positive), int(positive.sum())
    positives, others = _count_below(margin, positive)
    area = others[:, positive].sum(1, keepdims=True) / (of_class * (count - of_class))  # halves: exact, as by ranks
    right = np.where(positive, others / (count - of_class), 1 - positives / of_class)
    return area + (right - area) * count / np.where(positive, of_class, count - of_class)


def _count_below(margin: SeveralScores, positive: Hits) -> tuple[SeveralScores, SeveralScores]:
    """How many positives, and how many others, are below each example of a set; ties count 1/2."""
    order: Array = margin.argsort(1)
    count = int(margin.shape[1])
    places = np.arange(count, dtype=np.intp)
    ordered: Array = np.take_along_axis(margin, order, 1)
    of_class: Array = positive[order].cumsum(1)
    rises: Array = ordered[:, 1:] > ordered[:, :-1]
    edge: Array = np.ones((len(margin), 1), dtype=bool)
    starts: Array = np.where(np.hstack([edge, rises]), places, 0)
    stops: Array = np.where(np.hstack([rises, edge]), places, count)
    first: Array = np.maximum.accumulate(starts, 1)
    last: Array = np.minimum.accumulate(stops[:, ::-1], 1)[:, ::-1]
    before = np.where(first > 0, np.take_along_axis(of_class, np.maximum(first - 1, 0), 1), 0)
    found: Array = np.empty((2, *margin.shape))
    np.put_along_axis(found[0], order, (before + np.take_along_axis(of_class, last, 1)) / 2, 1)
    np.put_along_axis(found[1], order, (first + last + 1) / 2, 1)
    return found[0], found[1] - found[0]
