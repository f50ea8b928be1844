"""Aggregation: over seeds within a group, then over tasks. A PGR that is not identified is counted, in no median."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from w2s_sweep.metrics import METRICS, Recovery, cause, median_interval
from w2s_sweep.results.records import NONE, ONE, SEVERAL, Group, Median, Row, Setting
from w2s_sweep.results.summary import Summary

NOTHING: Mapping[str, Any] = {
    "n_groups": None, "weak": NONE, "student": NONE, "ceiling": NONE, "gain": NONE, "gap": NONE, "excess": NONE,
    "pgr": NONE, "unidentified": "", "details": {},
}  # fmt: skip
"""Of a group without a finished cell."""


def group_cells(rows: Sequence[Row], summary: Summary | None) -> tuple[Group, Recovery | None]:
    """Cells that differ in the seed only, with the summary of those that are finished; what the PGR is of."""
    first, done = rows[0], [row for row in rows if row.state == "done"]
    common, recovery = summary or (NOTHING, None)
    of_two = METRICS[first.metric].chance(2)
    group = Group(
        **vars(first.setting),
        group=first.group,
        dataset=first.dataset,
        weak_params=first.weak_params,
        strong_params=first.strong_params,
        seeds=tuple(sorted(row.seed for row in done)),
        cells=len(rows),
        n_test=max((row.n_test for row in done if row.n_test is not None), default=None),
        over=SEVERAL if len(done) > 1 else ONE,
        freedom=None if recovery is None or recovery.moments is None else float(recovery.moments.freedom),
        chance=fmean(known) if (known := [r.chance for r in done if r.chance is not None]) else of_two,
        majority=fmean(shares) if (shares := [row.majority for row in done if row.majority is not None]) else None,
        ratios=tuple(row.ratio for row in done if row.ratio is not None),
        **common,
    )
    return group, recovery


def medians(groups: Iterable[Group]) -> tuple[Median, ...]:
    """Median over tasks of the PGR, for every setting; tasks of one setting differ in the dataset only."""
    members: dict[Setting, list[Group]] = {}
    for g in groups:
        members.setdefault(g.setting, []).append(g)
    return tuple(_median(setting, found) for setting, found in members.items())


def _median(setting: Setting, groups: Sequence[Group]) -> Median:
    values = [g.pgr.value for g in groups if g.pgr.value is not None]
    reasons = Counter(cause(g.unidentified) for g in groups if g.unidentified)
    return Median(
        **vars(setting),
        tasks=len(values),
        unidentified=reasons.total(),
        pgr=median_interval(values),
        reasons=dict(reasons),
    )
