"""The PGR against baselines that are known by their scores alone: several runs of each role on one test set.

The runs of the roles are independent samples, since a baseline was trained for no student in particular. Which examples
each answered is not known, so intervals are over runs on these very test examples, and not over other ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from w2s_sweep.metrics.gap import Recovery, fieller, plain_ratio, why_unidentified
from w2s_sweep.metrics.interval import LEVEL, Interval, t_p, t_quantile


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
        return Known.of(self.mean, ((self.variance, self),)).interval


Parts = Sequence[tuple[float, Runs]]
"""Variances that add up, and the runs that each is known by."""


@dataclass(frozen=True)
class Known:
    """A number that follows from means over runs, and how well it is known."""

    value: float
    variance: float
    freedom: float | None
    """Degrees of freedom of the variance (Satterthwaite 1946); None where it is that of a single run, unknown."""

    @classmethod
    def of(cls, value: float, parts: Parts) -> "Known":
        return cls(value, sum(variance for variance, _ in parts), _freedom(parts))

    @property
    def interval(self) -> Interval:
        """Student's t; without ends where the variance is unknown."""
        if self.freedom is None:
            return Interval(self.value)
        half = t_quantile(LEVEL, self.freedom) * math.sqrt(self.variance)
        return Interval(self.value, self.value - half, self.value + half)

    @property
    def p(self) -> float | None:
        """Two-sided, of the number being 0; None where the variance is unknown."""
        return None if self.freedom is None else t_p(self.value, self.variance, self.freedom)


def difference(one: Runs, other: Runs) -> Known:
    """`one` minus `other`, after Welch (1947)."""
    return Known.of(one.mean - other.mean, ((one.variance, one), (other.variance, other)))


def recover_fixed(student: Runs, weak: Runs, ceiling: Runs) -> Recovery:
    """(student - weak) / (ceiling - weak) of the means, with the interval of Fieller (1954). Where a role is a single
    run the ratio is a point.

    The degrees of freedom are those of student - weak - r (ceiling - weak) at the ratio that was found (Satterthwaite
    1946), and no more than the student's seeds less one: alone, they cover too little where the student has the fewest
    seeds, since two or three runs that happen to agree hide that it has most of the spread. docs/STATISTICS.md has what
    was measured.
    """
    pairs = (student, weak), (ceiling, weak), (student, ceiling)
    gain, gap, excess = (difference(*pair).interval for pair in pairs)
    above, below = student.mean - weak.mean, ceiling.mean - weak.mean
    freedom = _freedom_of_ratio(above / below if below else 0.0, student, weak, ceiling)
    if freedom is None:
        reason = why_unidentified(gap, math.inf, 0) if gap.low is not None else ""
        point = plain_ratio(weak.mean, student.mean, ceiling.mean)
        if point is None:
            reason = reason or f"the ceiling is not above the weak supervisor: gap {below:.4f}"
        return Recovery(gain, gap, excess, Interval(None if reason else point), reason)
    shared = weak.variance  # both gaps are over the same runs of the supervisor
    covariance = np.array([[student.variance + shared, shared], [shared, ceiling.variance + shared]])
    square = np.array([t_quantile(LEVEL, freedom) ** 2])
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


def _freedom(parts: Parts) -> float | None:
    """Satterthwaite's degrees of freedom of the sum; None where a part is of a single run."""
    if any(runs.error is None for _, runs in parts):
        return None
    whole = sum(variance for variance, _ in parts)
    if not whole:
        return float(min(runs.seeds - 1 for _, runs in parts))
    return max(1.0, whole**2 / sum(variance**2 / (runs.seeds - 1) for variance, runs in parts))
