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
        if len({*scores}) == 1:  # of equal scores neither mean nor spread is left to rounding
            return cls(scores[0], len(scores), 0.0 if len(scores) > 1 else None)
        return cls(float(np.mean(scores)), len(scores), float(np.std(scores, ddof=1)) / math.sqrt(len(scores)))

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
    """(student - weak) / (ceiling - weak) of the means, with the interval of Fieller (1954). Where a role is a single
    run the ratio is a point.

    The degrees of freedom are those of student - weak - r (ceiling - weak) at the ratio that was found (Satterthwaite
    1946), and no more than the student's seeds less one: alone, they cover too little where the student has the fewest
    seeds, since two or three runs that happen to agree hide that it has most of the spread. docs/STATISTICS.md has what
    was measured.
    """
    gain, gap, excess = difference(student, weak), difference(ceiling, weak), difference(student, ceiling)
    above, below = student.mean - weak.mean, ceiling.mean - weak.mean
    freedom = _freedom_of_ratio(above / below if below else 0.0, student, weak, ceiling)
    if freedom is None:
        reason = why_unidentified(gap, math.inf, 0) if gap.low is not None else ""
        if below <= 0:
            reason = reason or f"the ceiling is not above the weak supervisor: gap {below:.4f}"
        return Recovery(gain, gap, excess, Interval(None if reason else above / below), reason)
    shared = weak.variance  # both gaps are over the same runs of the supervisor
    covariance = np.array([[student.variance + shared, shared], [shared, ceiling.variance + shared]])
    square = np.array([t_quantile(level, freedom) ** 2])
    (room,), (low,), (high,) = fieller(np.array([[above, below]]), covariance[None], square)
    reason = why_unidentified(gap, float(room), freedom)
    pgr = Interval(None) if reason else Interval(above / below, float(low), float(high))
    return Recovery(gain, gap, excess, pgr, reason)


def _freedom_of_ratio(ratio: float, student: Runs, weak: Runs, ceiling: Runs) -> float | None:
    """Of student - weak - ratio (ceiling - weak); None where a role is a single run."""
    parts = (
        (student.variance, student),
        ((1 - ratio) ** 2 * weak.variance, weak),
        (ratio**2 * ceiling.variance, ceiling),
    )
    freedom = _freedom(parts)
    return None if freedom is None else min(freedom, student.seeds - 1.0)


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
