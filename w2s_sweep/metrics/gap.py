"""Performance gap recovered: a ratio of mean gaps, and when the gap is too little known for there to be a ratio.

The PGR is the mean of (student - weak) over seeds, divided by the mean of (ceiling - weak): one ratio of two means, and
not a mean of ratios, which a seed with a small gap would rule. Its interval is that of Fieller (1954): all ratios that
the two means, with their common covariance, do not contradict. Where the gap is not told from 0, by its own interval or
with the degrees of freedom of both, these are not an interval, any ratio fits, and the PGR is *not identified*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.metrics.crossed import Moments
from w2s_sweep.metrics.interval import LEVEL, Interval, crossed_intervals, t_quantiles

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
    of_runs = None if moments.of_runs is None else moments.of_runs[None]
    parts = moments.mean[None], moments.of_groups[None], of_runs, moments.both[None]
    return recover_all(Moments(*parts, moments.seeds, moments.groups), level)[0]


def recover_all(moments: Moments, level: float = LEVEL) -> list[Recovery]:
    """`recover` of several sets of two columns."""
    gaps = crossed_intervals(moments.singles(), [ANY, ANY], level)
    excesses = crossed_intervals(moments.difference().singles(), [ANY], level)
    below, freedom = moments.mean[:, 1], moments.freedom
    a, low, high = _fieller(moments, t_quantiles(level, freedom) ** 2)
    with np.errstate(divide="ignore", invalid="ignore"):  # a gap of 0 is told of below
        ratio = moments.mean[:, 0] / below
    numbers = zip(*(column.tolist() for column in (a, freedom, ratio, low, high)), strict=True)
    found = list[Recovery]()
    for place, ((gain, gap), (excess,), (room, free, *ends)) in enumerate(zip(gaps, excesses, numbers, strict=True)):
        reason = _why(gap, room, free)
        pgr = Interval(None) if reason else Interval(*ends)
        found.append(Recovery(gain, gap, excess, pgr, reason, moments.of_set(place)))
    return found


def _fieller(moments: Moments, square: Array) -> tuple[Array, Array, Array]:
    """Ratios r of the two means where gain - r gap is as far from 0 as the square of a quantile says: by how much the
    gap is further than that, the lower r and the upper one. Only where the first is above 0 are they an interval."""
    above, below = moments.mean[:, 0], moments.mean[:, 1]
    cov = moments.covariance
    with np.errstate(divide="ignore", invalid="ignore"):
        a = below**2 - square * cov[:, 1, 1]
        b = above * below - square * cov[:, 0, 1]
        root = np.sqrt(np.maximum(0, b**2 - a * (above**2 - square * cov[:, 0, 0])))  # below 0 by rounding alone
        return a, (b - root) / a, (b + root) / a


def undefined_recovery(*roles: str, why: str = "") -> Recovery:
    """The PGR of roles that do not have the metric; `why`: where it is undefined, if that can be said."""
    none = Interval(None)
    reason = f"the metric of {', '.join(roles)} is undefined"
    return Recovery(none, none, none, none, f"{reason}: {why}" if why else reason)


NO_TEST_LABELS = "no value, the file has no labels for test rows"
"""Why a supervisor that is a file has no score."""


NO_CEILING = "no value, no ceiling was trained (ceiling.skip)"
"""Why there is no gap."""


def unscored_recovery(reason: str) -> Recovery:
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


def _why(gap: Interval, room: float, freedom: float) -> str:
    """Why there is no PGR over this gap; empty where it is told from 0, also with these degrees of freedom, and is
    positive."""
    if gap.low is None or gap.high is None:
        return "a single group of test examples: their spread is unknown"
    bounds = f"{gap.value:.4f} [{gap.low:.4f}, {gap.high:.4f}]"
    if gap.high < 0:
        return f"the ceiling is worse than the weak supervisor: gap {bounds}"
    if gap.low <= 0:
        return f"the gap is not told from 0: {bounds}"
    if room <= 0:
        few = f"{freedom:.1f} degrees of freedom"
        return f"the gap is not told from 0 beside the student's spread: {gap.value:.4f} with {few}"
    return ""
