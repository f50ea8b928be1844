"""Intervals over seeds: what another run of the same setting would give. One seed says nothing about that."""

import math
from collections.abc import Sequence

import numpy as np

from w2s_sweep.metrics.interval import LEVEL, Interval


def t_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Mean of the values and Student's t interval; no interval for fewer than two values, no value for none."""
    if len(values) < 2:
        return Interval(values[0] if values else None)
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    half = t_quantile((1 + level) / 2, len(values) - 1) * spread / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def t_quantile(probability: float, freedom: int) -> float:
    """The number that a Student t variable with `freedom` degrees (>= 1) is below with `probability` in [.5, 1)."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):  # bisection on the angle atan(t / sqrt(freedom)), which is bounded
        middle = (low + high) / 2
        low, high = (middle, high) if (1 + _central(middle, freedom)) / 2 < probability else (low, middle)
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def _central(angle: float, freedom: int) -> float:
    """P(|T| < sqrt(freedom) tan(angle)) in closed form (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = term if freedom > 1 else 0.0
    for i in range(2 + odd, freedom - 1, 2):
        term *= (i - 1) / i * math.cos(angle) ** 2
        total += term
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total
