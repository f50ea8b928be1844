"""AUROC of the probability margin, ties counting one half. Its sampling error is that of DeLong's placements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from w2s_sweep.arrays import Array, add_classes
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
        return None if no_auroc(probs, truth) is not None else _scores(probs[None], truth)[0]

    def scores_of_each(self, probs: SeveralProbs, role: RolePredictions) -> SeveralScores:
        if no_auroc(probs[0], role.truth) is not None:  # which depends on the truth alone
            return np.full(probs.shape[:2], np.nan)
        return _scores(probs, role.truth)


METRICS.register(Auroc.name, Auroc())


def _scores(probs: SeveralProbs, truth: Truth) -> SeveralScores:
    found = [_placements(margins(probs, c), truth == c) for c in ranked_classes(probs[0])]
    return found[0] if len(found) == 1 else np.mean(found, axis=0)


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
    return p[..., positive] - (add_classes(p) - p[..., positive])


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
    order: Array = margin.argsort(1)
    of_kind: Array = positive[order]
    below, positives = _count_below(np.take_along_axis(margin, order, 1), of_kind)
    others = below - positives
    # Halves: exact, as by ranks.
    area = np.where(of_kind, others, 0).sum(1, keepdims=True) / (of_class * (count - of_class))
    right = np.where(of_kind, others / (count - of_class), 1 - positives / of_class)
    found: Array = np.empty(margin.shape)
    np.put_along_axis(found, order, area + (right - area) * count / np.where(of_kind, of_class, count - of_class), 1)
    return found


def _count_below(margin: SeveralScores, positive: Hits) -> tuple[SeveralScores, SeveralScores]:
    """How many examples, and how many positives, are below each example of a set; ties, and itself, count 1/2.

    By rising margin.
    """
    places = np.broadcast_to(np.arange(margin.shape[1], dtype=np.intp), margin.shape)
    of_class: Array = positive.cumsum(1)
    rises: Array = margin[:, 1:] > margin[:, :-1]
    below, positives = places + 0.5, of_class - positive / 2
    tied = np.flatnonzero(~rises.all(1))
    if len(tied):
        below[tied], positives[tied] = _share_ties(rises[tied], of_class[tied])
    return below, positives


def _share_ties(rises: Array, of_class: SeveralScores) -> tuple[SeveralScores, SeveralScores]:
    """The same of sets where margins do not rise everywhere. `rises`: [sets, examples - 1] of each to the next."""
    sets, count = of_class.shape
    edge, places = np.ones((sets, 1), dtype=bool), np.arange(count, dtype=np.intp)
    starts, stops = np.hstack([edge, rises]), np.hstack([rises, edge])
    first: Array = np.maximum.accumulate(np.where(starts, places, 0), 1)
    last: Array = np.minimum.accumulate(np.where(stops, places, count)[:, ::-1], 1)[:, ::-1]
    before = np.where(first > 0, np.take_along_axis(of_class, np.maximum(first - 1, 0), 1), 0)
    return (first + last + 1) / 2, (before + np.take_along_axis(of_class, last, 1)) / 2
