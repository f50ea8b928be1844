"""The PGR against baselines that are known by their scores alone: several runs of each role on one test set.

The runs of the roles are independent samples, since a baseline was trained for no student in particular. Which examples
each answered is not known, so intervals are over runs on these very test examples, and not over other ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from w2s_sweep.metrics.gap import Recovery, fieller, why_unidentified
from w2s_sweep.metrics.interval import LEVEL, SMALLEST, Interval, special_functions, t_quantile


@dataclass(frozen=True)
class Runs:
    """The scores of one role or method over its seeds."""

    mean: float
    seeds: int
    error: float | None = None
    """Standard error of the mean; None of a single run, whose spread is unknown."""

    @classmethod
    def of(cls, scores: Sequence[float]) -> "Runs":
        """Of one score a seed, at least one."""
        several = len(scores) > 1
        error = float(np.std(scores, ddof=1)) / math.sqrt(len(scores)) if several else None
        return cls(float(np.mean(scores)), len(scores), error)

    @property
    def variance(self) -> float:
        """Of the mean; 0 where it is unknown."""
        return 0.0 if self.error is None else self.error**2

    @property
    def interval(self) -> Interval:
        """Student's t; without ends for a single run."""
        return _interval(self.mean, ((self.variance, self),))


def difference(one: Runs, other: Runs) -> Interval:
    """`one` minus `other` with the interval of Welch (1947); without ends where one of them is a single run."""
    return _interval(one.mean - other.mean, ((one.variance, one), (other.variance, other)))


def difference_p(one: Runs, other: Runs) -> float | None:
    """Two-sided p of no difference (Welch 1947); None where one of them is a single run."""
    parts = ((one.variance, one), (other.variance, other))
    freedom, off = _freedom(parts), abs(one.mean - other.mean)
    if freedom is None:
        return None
    spread = math.sqrt(one.variance + other.variance)
    if not spread:
        return 1.0 if off == 0 else SMALLEST
    t = off / spread
    return max(SMALLEST, 2 * float(special_functions().stdtr(freedom, -t)))


def recover_fixed(student: Runs, weak: Runs, ceiling: Runs, level: float = LEVEL) -> Recovery:
    """(student - weak) / (ceiling - weak) of the means, with the interval of Fieller (1954): the degrees of freedom are
    Satterthwaite's, of the trace of the covariance of the two gaps. Where a role is a single run the ratio is a point.
    """
    gain, gap, excess = difference(student, weak), difference(ceiling, weak), difference(student, ceiling)
    above, below = student.mean - weak.mean, ceiling.mean - weak.mean
    shared = weak.variance  # both gaps are over the same runs of the supervisor
    parts = ((2 * shared, weak), (student.variance, student), (ceiling.variance, ceiling))
    freedom = _freedom(parts)
    if freedom is None:
        reason = why_unidentified(gap, math.inf, 0) if gap.low is not None else ""
        if below <= 0:
            reason = reason or f"the ceiling is not above the weak supervisor: gap {below:.4f}"
        return Recovery(gain, gap, excess, Interval(None if reason else above / below), reason)
    covariance = np.array([[student.variance + shared, shared], [shared, ceiling.variance + shared]])
    square = np.array([t_quantile(level, freedom) ** 2])
    (room,), (low,), (high,) = fieller(np.array([[above, below]]), covariance[None], square)
    reason = why_unidentified(gap, float(room), freedom)
    pgr = Interval(None) if reason else Interval(above / below, float(low), float(high))
    return Recovery(gain, gap, excess, pgr, reason)


Parts = Sequence[tuple[float, Runs]]
"""Variances that add up, and the runs that each is known by."""


def _interval(mean: float, parts: Parts) -> Interval:
    freedom = _freedom(parts)
    if freedom is None:
        return Interval(mean)
    half = t_quantile(LEVEL, freedom) * math.sqrt(sum(variance for variance, _ in parts))
    return Interval(mean, mean - half, mean + half)


def _freedom(parts: Parts) -> float | None:
    """Satterthwaite's degrees of freedom of the sum; None where a part is of a single run."""
    if any(runs.error is None for _, runs in parts):
        return None
    whole = sum(variance for variance, _ in parts)
    if not whole:
        return float(min(runs.seeds - 1 for _, runs in parts))
    return max(1.0, whole**2 / sum(variance**2 / (runs.seeds - 1) for variance, runs in parts))
