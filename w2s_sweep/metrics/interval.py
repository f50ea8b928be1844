"""A number with its interval, and what Student's t says of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.metrics.crossed import Moments, Spread

LEVEL = 0.95
SMALLEST = float(np.finfo(float).tiny)
"""No p-value is 0; smaller ones than a float can hold are given as this."""


@dataclass(frozen=True)
class Interval:
    """A number with its interval; `low` and `high` are both None where there is no interval."""

    value: float | None
    low: float | None = None
    high: float | None = None


def special_functions() -> Any:
    """`scipy.special`, loaded where it is needed: it takes a quarter of a second, and plans have no intervals."""
    import scipy.special  # pyright: ignore[reportMissingTypeStubs]

    return scipy.special


@lru_cache(4096)
def t_quantile(level: float, freedom: float) -> float:
    """What a Student t variable with `freedom` degrees stays within, on either side of 0, with probability `level`."""
    return float(special_functions().stdtrit(freedom, (1 + level) / 2))


def t_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Mean of the values and Student's t interval; no interval for fewer than two values, no value for none."""
    if len(values) < 2:
        return Interval(values[0] if values else None)
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    half = t_quantile(level, len(values) - 1) * spread / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def t_quantiles(level: float, freedom: Array) -> Array:
    """`t_quantile` of all degrees of freedom, each distinct one computed once."""
    distinct, place = np.unique(freedom, return_inverse=True)
    return special_functions().stdtrit(distinct, (1 + level) / 2)[place.reshape(np.shape(freedom))]


def crossed_interval(
    moments: Moments, bounds: tuple[float, float] = (-math.inf, math.inf), level: float = LEVEL
) -> Interval:
    """The mean of a single column with its interval over seeds and groups, within what it can be at all."""
    return crossed_intervals(moments.singles(), [bounds], level)[0]


def crossed_intervals(spread: Spread, bounds: Sequence[tuple[float, float]], level: float = LEVEL) -> Any:
    """`crossed_interval` of every column [...] by itself, in lists as deep as the array; no value where it is NaN.

    `bounds`: of the columns along the last axis.
    """
    variance, mean = spread.variance, spread.mean
    known = np.isfinite(variance)
    half = t_quantiles(level, spread.freedom) * np.sqrt(np.where(known, variance, 0))
    low, high = np.array(bounds, dtype=np.float64).reshape(-1, 2).T
    ends = np.maximum(low, mean - half), np.minimum(high, mean + half)
    found = [array.ravel().tolist() for array in (mean, *ends, known)]
    intervals: Array = np.empty(mean.size, dtype=object)
    intervals[:] = [_interval(*one) for one in zip(*found, strict=True)]
    return intervals.reshape(mean.shape).tolist()


def _interval(mean: float, low: float, high: float, known: bool) -> Interval:
    if math.isnan(mean):
        return Interval(None)
    return Interval(mean, low, high) if known else Interval(mean)


def crossed_p(moments: Moments) -> float | None:
    """Two-sided p of a single column's mean being 0; None where nothing is known of its spread."""
    variance = float(moments.covariance[0, 0])
    return t_p(float(moments.mean[0]), variance, moments.freedom) if math.isfinite(variance) else None


def t_p(mean: float, variance: float, freedom: float) -> float:
    """Two-sided p of a mean being 0, by Student's t. `variance`: of the mean, with so many degrees of freedom."""
    if variance == 0:
        return 1.0 if mean == 0 else SMALLEST
    return max(SMALLEST, 2 * float(special_functions().stdtr(freedom, -abs(mean) / math.sqrt(variance))))
