"""Aggregation: over seeds within a group, then over tasks. Undefined PGRs are in no mean; they are counted."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from w2s_sweep.metrics import METRICS, Interval, cause, over_tasks, t_interval
from w2s_sweep.results.records import Group, Median, Row, Setting


def group_rows(rows: Iterable[Row]) -> tuple[Group, ...]:
    """One group for all cells that differ in the seed only, in order of first appearance."""
    members: dict[str, list[Row]] = {}
    for row in rows:
        members.setdefault(row.group, []).append(row)
    return tuple(_group(found) for found in members.values())


def _group(rows: Sequence[Row]) -> Group:
    first, done = rows[0], [row for row in rows if row.state == "done"]
    defined = [row.pgr for row in done if row.pgr.value is not None]
    sizes = {row.n_test for row in done}
    classes = max((row.classes or 2 for row in done), default=2)
    return Group(
        **vars(first.setting),
        group=first.group,
        dataset=first.dataset,
        weak_params=first.weak_params,
        strong_params=first.strong_params,
        seeds=tuple(sorted(row.seed for row in done)),
        cells=len(rows),
        undefined=len(done) - len(defined),
        n_test=max((size for size in sizes if size is not None), default=None),
        chance=METRICS[first.metric].chance(classes),
        weak=_over([row.weak for row in done]),
        student=_over([row.student for row in done]),
        ceiling=_over([row.ceiling for row in done]),
        pgr=_over(defined),
        pgr_points=tuple(pgr.value for pgr in defined if pgr.value is not None),
        details=_each([row.details for row in done]),
    )


def _each(details: Sequence[Mapping[str, Interval]]) -> dict[str, Interval]:
    names = dict.fromkeys(name for found in details for name in found)
    return {name: _over([found[name] for found in details if name in found]) for name in names}


def _over(estimates: Sequence[Interval]) -> Interval:
    """The mean over seeds with an interval over seeds; one seed keeps its own interval, over test examples."""
    known = [e for e in estimates if e.value is not None]
    if len(known) == 1:
        return known[0]
    return t_interval([e.value for e in known if e.value is not None])


def medians(groups: Iterable[Group], rows: Iterable[Row]) -> tuple[Median, ...]:
    """Median over tasks of the mean PGR, for every setting; tasks of one setting differ in the dataset only."""
    members: dict[Setting, list[Group]] = {}
    for g in groups:
        members.setdefault(g.setting, []).append(g)
    left_out: dict[Setting, Counter[str]] = {}
    for row in rows:
        if row.pgr_undefined:
            left_out.setdefault(row.setting, Counter())[cause(row.pgr_undefined)] += 1
    return tuple(_median(setting, found, dict(left_out.get(setting, {}))) for setting, found in members.items())


def _median(setting: Setting, groups: Sequence[Group], left_out: dict[str, int]) -> Median:
    values = [g.pgr.value for g in groups if g.pgr.value is not None]
    return Median(
        **vars(setting),
        tasks=len(values),
        undefined=sum(bool(g.seeds) and g.pgr.value is None for g in groups),
        pgr=over_tasks(values, "median"),
        left_out=left_out,
    )
