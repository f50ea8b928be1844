"""What a figure shows: groups in panels and series. Where there are too many panels, tasks are averaged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from w2s_sweep.metrics import Interval, t_interval
from w2s_sweep.results.records import Group, Results

MOST_PANELS = 24


@dataclass(frozen=True)
class Panel:
    """One set of axes."""

    title: str
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Facets:
    """The panels of a figure and what their title must say."""

    panels: tuple[Panel, ...]
    variants: tuple[str, ...]
    """All series, in a fixed order that fixes their colours."""
    note: str
    """n test, seeds, interval and what was averaged."""
    averaged: bool = False
    """Whether groups are means over tasks or weak models."""


def facets(results: Results) -> Facets:
    """A panel per dataset and weak → strong pair; tasks, then weak models are averaged if that is too many."""
    groups: Sequence[Group] = [g for g in results.groups if g.seeds]
    variants = tuple(dict.fromkeys(results.variant(g) for g in groups))
    tasks, over = len({g.dataset for g in groups}), ""
    if len({(g.dataset, g.pair) for g in groups}) > MOST_PANELS and tasks > 1:
        groups, over = average(groups, lambda g: g.pair), f"{tasks} tasks"
    if len({g.pair for g in groups}) > MOST_PANELS:
        groups = average([replace(g, weak_model="all weak models") for g in groups], lambda g: g.strong_model)
        over = f"{over} and weak models" if over else "weak models"
    several = len({g.dataset for g in groups}) > 1
    order: dict[str, list[Group]] = {}
    for g in groups:
        order.setdefault(f"{g.dataset}: {g.pair}" if several else g.pair, []).append(g)
    panels = tuple(Panel(title, tuple(found)) for title, found in list(order.items())[:MOST_PANELS])
    left = len(order) - len(panels)
    note = facts(results, over) + (f"; {left} more panels are in the tables only" if left else "")
    return Facets(panels, variants, note, averaged=bool(over))


def task_facets(results: Results) -> Facets:
    """A panel per weak → strong pair: the median over tasks with its interval over tasks, and a point per task."""
    groups: dict[tuple[str, str], list[Group]] = {}
    for g in results.groups:
        if g.seeds:
            groups.setdefault((g.pair, results.variant(g)), []).append(g)
    panels: dict[str, list[Group]] = {}
    for m in results.medians:
        found = groups.get((m.pair, results.variant(m)), [])
        if found:
            points = tuple(g.pgr.value for g in found if g.pgr.value is not None)
            merged = replace(_mean(found), pgr=m.pgr, pgr_points=points, undefined=m.undefined)
            panels.setdefault(m.pair, []).append(merged)
    shown = [Panel(pair, tuple(found)) for pair, found in list(panels.items())[:MOST_PANELS]]
    variants = tuple(dict.fromkeys(results.variant(g) for panel in shown for g in panel.groups))
    note = "line: 95 % interval of the median (bootstrap over tasks); small points: tasks, means over seeds"
    left = len(panels) - len(shown)
    return Facets(tuple(shown), variants, note + (f"; {left} more panels are in the tables only" if left else ""))


def average(groups: Sequence[Group], panel: Callable[[Group], str]) -> list[Group]:
    """Groups of one panel and variant merged into one, with their means as points and an interval over them."""
    members: dict[tuple[str, ...], list[Group]] = {}
    for g in groups:
        members.setdefault((panel(g), g.loss, g.method, g.finetune), []).append(g)
    return [_mean(found) for found in members.values()]


def _mean(groups: Sequence[Group]) -> Group:
    def over(values: Sequence[float | None]) -> Interval:
        return t_interval([value for value in values if value is not None])

    points = tuple(g.pgr.value for g in groups if g.pgr.value is not None)
    return replace(
        groups[0],
        dataset="",
        seeds=tuple(sorted({seed for g in groups for seed in g.seeds})),
        undefined=sum(g.undefined for g in groups),
        chance=fmean(g.chance for g in groups),
        weak=over([g.weak.value for g in groups]),
        student=over([g.student.value for g in groups]),
        ceiling=over([g.ceiling.value for g in groups]),
        pgr=over(points),
        pgr_points=points,
    )


def facts(results: Results, averaged: str = "", *, interval: bool = True) -> str:
    """`n test = 500; seeds 0, 1, 2; line: 95 % interval over seeds; ...`."""
    sizes = sorted({row.n_test for row in results.rows if row.n_test is not None})
    seeds = sorted({row.seed for row in results.rows if row.state == "done"})
    n_test = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}" if sizes else "-"
    shown = ", ".join(map(str, seeds)) if len(seeds) <= 6 else f"{len(seeds)} of them"
    source = f"over {averaged}" if averaged else "over seeds" if len(seeds) > 1 else "by bootstrap over test examples"
    parts = [f"mean over {averaged}"] if averaged else []
    datasets = {row.dataset for row in results.rows}
    parts += [next(iter(datasets))] if len(datasets) == 1 else []
    parts += [f"n test = {n_test}", f"{'seed' if len(seeds) == 1 else 'seeds'} {shown}"]
    parts += [f"line: 95 % interval {source}"] if interval else []
    undefined = sum(bool(row.pgr_undefined) for row in results.rows)
    parts += [f"PGR undefined in {undefined} cells (in no mean)"] if undefined else []
    done, total = results.count("done"), len(results.rows)
    parts += [] if done == total else [f"{done} of {total} cells finished"]
    return "; ".join(parts)
