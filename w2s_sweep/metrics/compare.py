"""Is one student better than another on the same test examples? Paired tests, and Holm's correction for asking often.

The tests pool the test sets of several seeds or tasks. Seeds deal their test sets from one pool of rows, so a row can
be in several of them, and students answer it alike: what they say of one example is added up before it is tested.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from w2s_sweep.metrics.classification import binary_auroc, margins, no_auroc, ranked_classes

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Probs, Truth

Array = np.ndarray[Any, Any]
K = TypeVar("K", bound=Hashable)
SMALLEST = float(np.finfo(float).tiny)
"""No p-value is 0; smaller ones than a float can hold are given as this."""


def mcnemar(changes: Array, examples: Array) -> float:
    """Exact two-sided p of equal accuracy.

    `changes` [rows] is 1 where only the second is right, -1 where only the first is, else 0; `examples` [rows] tells
    rows of the same example by a whole number. The sum of an example's changes is +c or -c with the same chance. Where
    no example occurs twice this is McNemar's exact test.
    """
    sums = np.bincount(examples, changes)
    observed = abs(round(float(sums.sum())))
    sizes, counts = np.unique(np.abs(np.rint(sums)).astype(int), return_counts=True)
    total = sum(int(size) * int(count) for size, count in zip(sizes, counts, strict=True))
    chances = np.ones(1)  # of the sum being -total, -total + 2, ...; its parity is that of the total
    for size, count in zip(sizes, counts, strict=True):
        if size:
            steps = np.zeros(size * count + 1)
            steps[::size] = _binomial(int(count))
            chances = np.convolve(chances, steps)
    reached = np.abs(2 * np.arange(len(chances)) - total) >= observed
    return float(min(1.0, max(chances[reached].sum(), SMALLEST)))


def _binomial(n: int) -> Array:
    """[n + 1] chances of 0..n heads of a fair coin."""
    logs = np.array([math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)])
    return np.exp(logs - n * math.log(2))


def auroc_influence(probs: Probs, truth: Truth) -> Array | None:
    """float64 [examples]: by how much each example moves the AUROC (DeLong et al. 1988); they sum to 0.

    None where the AUROC is undefined. More than two classes: the mean over classes, as in `auroc`.
    """
    if no_auroc(probs, truth) is not None:
        return None
    return np.mean([_influence(margins(probs, c), truth == c) for c in ranked_classes(probs)], axis=0)


def _influence(margin: Array, positive: Array) -> Array:
    placed = np.empty(len(margin))
    for own in (True, False):
        mine, others = margin[positive == own], np.sort(margin[positive != own])
        below = (np.searchsorted(others, mine, "left") + np.searchsorted(others, mine, "right")) / 2 / len(others)
        placed[positive == own] = ((below if own else 1 - below) - binary_auroc(margin, positive)) / len(mine)
    return placed


def delong(difference: float, changes: Array, examples: Array) -> float:
    """Two-sided p of no difference between two AUROCs, for large samples.

    `changes` [rows] is the influence of a row on the difference; rows of one example are added up (Obuchowski 1997).
    """
    spread = math.sqrt(float((np.bincount(examples, changes) ** 2).sum()))
    if spread == 0:
        return 1.0 if difference == 0 else SMALLEST
    return math.erfc(abs(difference) / spread / math.sqrt(2))


def holm(p_values: Mapping[K, float]) -> dict[K, float]:
    """Adjusted p-values under the same names: reject below alpha and the family-wise error is at most alpha.

    Holm (1979): the i-th smallest of m is multiplied by m - i + 1, then made monotone and capped at 1.
    """
    adjusted: dict[K, float] = {}
    floor = 0.0
    ordered = sorted(p_values, key=lambda name: p_values[name])
    for rank, name in enumerate(ordered):
        floor = max(floor, min(1.0, (len(ordered) - rank) * p_values[name]))
        adjusted[name] = floor
    return {name: adjusted[name] for name in p_values}
