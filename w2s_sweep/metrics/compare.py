"""Is one student better than another on the same examples? Paired tests, and Holm's correction for asking often."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from w2s_sweep.metrics.bootstrap import LEVEL, RESAMPLES, Interval, measure, percentile_interval, require_paired
from w2s_sweep.metrics.classification import hits
from w2s_sweep.metrics.resample import MetricName, resampled, weights

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Probs, Truth

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class McNemar:
    """Exact test of equal accuracy; only examples on which the two differ in being right count."""

    first_only: int
    """Examples that only the first gets right."""
    second_only: int
    p: float
    """Two-sided; 1 where the two are right on the same examples."""


@dataclass(frozen=True)
class Difference:
    """second - first of a metric, with a percentile interval over test examples."""

    interval: Interval
    p: float | None
    """Two-sided bootstrap p-value, at least 2 / (resamples + 1); None where the difference is undefined."""


def mcnemar(first: Probs, second: Probs, truth: Truth) -> McNemar:
    """McNemar's exact test; rows of all three arrays are the same examples."""
    require_paired({"first": first, "second": second}, truth)
    a, b = hits(first, truth), hits(second, truth)
    first_only, second_only = int((a & ~b).sum()), int((b & ~a).sum())
    return McNemar(first_only, second_only, _sign_test(first_only, second_only))


def _sign_test(wins: int, losses: int) -> float:
    """Two-sided exact binomial test of equal chances, in whole numbers."""
    n = wins + losses
    term = tail = 1
    for i in range(min(wins, losses)):
        term = term * (n - i) // (i + 1)
        tail += term
    return float(min(Fraction(1), Fraction(2 * tail, 2**n)))


def paired_difference(
    first: Probs,
    second: Probs,
    truth: Truth,
    metric: MetricName = "accuracy",
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Difference:
    """second - first on the same resamples; p is twice the smaller share of resamples on either side of 0."""
    require_paired({"first": first, "second": second}, truth)
    values = measure(metric, first, truth), measure(metric, second, truth)
    if values[0] is None or values[1] is None:
        return Difference(Interval(None), None)
    drawn = weights(len(truth), resamples, seed)
    change = resampled(metric, second, truth, drawn) - resampled(metric, first, truth, drawn)
    kept = change[~np.isnan(change)]
    side = min(int((kept <= 0).sum()), int((kept >= 0).sum()))
    p = min(1.0, 2 * (side + 1) / (len(kept) + 1))
    return Difference(percentile_interval(values[1] - values[0], change, level), p)


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
