"""Performance gap recovered: a ratio of mean gaps, and when the gap is too little known for there to be a ratio.

The PGR is the mean of (student - weak) over seeds, divided by the mean of (ceiling - weak): one ratio of two means, and
not a mean of ratios, which a seed with a small gap would rule. Its interval is that of Fieller (1954): all ratios that
the two means, with their common covariance, do not contradict. Where the gap is not told from 0, by its own interval or
with the degrees of freedom of both, these are not an interval, any ratio fits, and the PGR is *not identified*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from w2s_sweep.metrics.crossed import Moments
from w2s_sweep.metrics.interval import LEVEL, Interval, crossed_interval, crossed_intervals, t_quantile

ANY = (-math.inf, math.inf)


@dataclass(frozen=True, eq=False)
class Recovery:
    """A PGR and the gaps it is of, or why it is not identified: `reason` is empty where `pgr` has a value."""

    gain: Interval
    """Student minus weak supervisor."""
    gap: Interval
    """Ceiling minus weak supervisor."""
    excess: Interval
    """Student minus ceiling: above 0 where a model that was trained on the truth is beaten."""
    pgr: Interval
    """0: the student is as good as its supervisor; 1: as good as the ceiling. Not bounded on either side."""
    reason: str = ""
    moments: Moments | None = None
    """Of the columns (gain, gap); None where the metric is undefined."""


def recover(moments: Moments, level: float = LEVEL) -> Recovery:
    """The PGR of two columns of a design, (student - weak) and (ceiling - weak)."""
    gain, gap = crossed_intervals(moments, [ANY, ANY], level)
    excess = crossed_interval(moments.difference(), level=level)
    reason = _why(gap)
    if reason:
        return Recovery(gain, gap, excess, Interval(None), reason, moments)
    (above, below), covariance = moments.mean.tolist(), moments.covariance.tolist()
    square = t_quantile(level, moments.freedom) ** 2
    a = below**2 - square * covariance[1][1]
    if a <= 0:
        told = f"{gap.value:.4f} with {moments.freedom:.1f} degrees of freedom"
        reason = f"the gap is not told from 0 beside the student's spread: {told}"
        return Recovery(gain, gap, excess, Interval(None), reason, moments)
    b = above * below - square * covariance[0][1]
    root = math.sqrt(max(0.0, b**2 - a * (above**2 - square * covariance[0][0])))  # below 0 by rounding alone
    return Recovery(gain, gap, excess, Interval(above / below, (b - root) / a, (b + root) / a), "", moments)


def undefined(*roles: str, why: str = "") -> Recovery:
    """The PGR of roles that do not have the metric; `why`: where it is undefined, if that can be said."""
    none = Interval(None)
    reason = f"the metric of {', '.join(roles)} is undefined"
    return Recovery(none, none, none, none, f"{reason}: {why}" if why else reason)


NO_TEST_LABELS = "no value, the file has no labels for test rows"
"""Why a supervisor that is a file has no score."""


NO_CEILING = "no value, no ceiling was trained (ceiling.skip)"
"""Why there is no gap."""


def unscored(reason: str) -> Recovery:
    """The PGR over a role that says nothing of test examples, or is not there."""
    none = Interval(None)
    return Recovery(none, none, none, none, reason)


def plain_ratio(weak: float | None, student: float | None, ceiling: float | None) -> float | None:
    """(student - weak) / (ceiling - weak) of one trained model; None unless the ceiling is better than the supervisor.

    A point, for figures and columns: it says nothing of how well it is known.
    """
    if weak is None or student is None or ceiling is None or not ceiling > weak:
        return None
    return (student - weak) / (ceiling - weak)


def cause(reason: str) -> str:
    """A reason without its numbers, so that equal causes can be counted."""
    return reason.partition(":")[0]


def _why(gap: Interval) -> str:
    """Why there is no PGR over this gap; empty where it is told from 0 and positive."""
    if gap.low is None or gap.high is None:
        return "a single group of test examples: their spread is unknown"
    said = f"{gap.value:.4f} [{gap.low:.4f}, {gap.high:.4f}]"
    if gap.high < 0:
        return f"the ceiling is worse than the weak supervisor: gap {said}"
    return "" if gap.low > 0 else f"the gap is not told from 0: {said}"
