"""What a figure shows: groups in panels and series. Where there are too many panels, tasks are averaged."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from w2s_sweep.metrics import METRICS, Interval, median_interval, t_interval
from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures.look import current
from w2s_sweep.results.figures.style import wrap
from w2s_sweep.results.records import ONE, SEVERAL, Group

MOST_PANELS = 24
MOST_LINES = 12
"""Settings in one panel: more lines than this hide each other, and colours with markers repeat."""
MOST_ROWS = 150
"""Rows of all panels together, where a setting is a row: more of them make a figure of several screens."""
LEAST = 3
"""Groups of a mean with an interval: that of two, with one degree of freedom, is as wide as the axis."""
SHARES = ("agreement/supervisor_right", "agreement/supervisor_wrong")
"""Further metrics that figures show, of groups that are merged too."""


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
    order: tuple[str, ...] = ()
    """All settings of the sweep, finished or not: a setting has one colour in every figure, and keeps it."""

    def place(self, variant: str) -> int:
        """Its place among all settings, which decides its colour and marker."""
        return (self.order or self.variants).index(variant)


def facets(results: Results, *, pgr: bool = True, most: int = MOST_PANELS) -> Facets:
    """A panel per dataset and weak → strong pair; if that is too many panels or rows, tasks, then weak models are
    averaged where that makes them fewer, and what still is too many is left out.

    `pgr`: whether the figure shows PGRs, and its note tells how many are not identified.
    """
    groups: Sequence[Group] = [g for g in results.groups if g.seeds]
    tasks, over = len({g.dataset for g in groups}), ""
    most = min(most, _fit({results.variant(g) for g in groups}, 2))
    wished = min(most, max(1, MOST_ROWS // max(1, len({results.variant(g) for g in groups}))))
    pairs = len({g.pair for g in groups})
    if (places := len({(g.dataset, g.pair) for g in groups})) > wished and places > pairs:
        groups, over = average(groups, lambda g: g.pair), f"{tasks} tasks"
    if pairs > wished and pairs > len({g.strong_model for g in groups}):
        groups = average([replace(g, weak_model="all weak models") for g in groups], lambda g: g.strong_model)
        over = f"{over} and weak models" if over else "weak models"
    tasks, pairs = len({g.dataset for g in groups}), len({g.pair for g in groups})
    order: dict[str, list[Group]] = {}
    for g in groups:
        order.setdefault(panel_title(g.dataset, g.pair, tasks, pairs), []).append(g)
    panels, variants, left_out = _bound(results, order, most)
    note = facts(results, over, interval=has_intervals(groups), pgr=pgr) + left_out
    return Facets(panels, variants, note, bool(over), all_variants(results))


def _fit(variants: Collection[str], more: int = 0) -> int:
    """How many panels there is room for, of a row for each setting and some more, named as `layout` does."""
    row = 0.32 if any("\n" in wrap(variant) for variant in variants) else 0.26
    return current().most_panels(4, 0.6 + row * (len(variants) + more), legend=False)


def _bound(
    results: Results, panels: Mapping[str, Sequence[Group]], most: int
) -> tuple[tuple[Panel, ...], tuple[str, ...], str]:
    """As many panels, and settings in each of them, as `MOST_ROWS` has room for, and what the note says of others.

    Settings are left out first, down to `MOST_LINES` of them, then panels.
    """
    drawable = {results.variant(g) for found in panels.values() for g in found}
    rows = max(MOST_LINES, MOST_ROWS // max(1, len(panels)))
    variants, note = choose_settings(results, drawable, rows, "the tables")
    most = min(most, max(1, MOST_ROWS // max(1, len(variants))))
    kept = {title: tuple(g for g in found if results.variant(g) in variants) for title, found in panels.items()}
    shown = tuple(Panel(title, found) for title, found in kept.items() if found)[:most]
    there = {results.variant(g) for panel in shown for g in panel.groups}
    variants, left = tuple(name for name in variants if name in there), len(panels) - len(shown)
    return shown, variants, note + (f"; {left} more panels are in the tables only" if left else "")


def panel_title(dataset: str, pair: str, tasks: int, pairs: int) -> str:
    """What tells a panel of a task and a pair of models from others: not what all of them share."""
    return pair if tasks == 1 else dataset if pairs == 1 else f"{dataset}: {pair}"


def leave_out(variants: Sequence[str], most: int, where: str) -> tuple[tuple[str, ...], str]:
    """The settings that are drawn, and what the note says of the others; empty where there are none."""
    left = len(variants) - most
    return tuple(variants[:most]), f"; the first {most} settings, {left} more are in {where} only" if left > 0 else ""


def choose_settings(results: Results, drawable: Collection[str], most: int, where: str) -> tuple[tuple[str, ...], str]:
    """`leave_out` of the settings that have something to draw: others, unfinished ones say, take no place of theirs."""
    return leave_out([variant for variant in all_variants(results) if variant in drawable], most, where)


def finished_variants(results: Results) -> tuple[str, ...]:
    """Those of `all_variants` with a finished cell."""
    return tuple(dict.fromkeys(results.variant(g) for g in results.groups if g.seeds))


def all_variants(results: Results) -> tuple[str, ...]:
    """The settings of a sweep in a fixed order."""
    return tuple(dict.fromkeys(results.variant(g) for g in results.groups))


def supervisors(results: Results) -> list[tuple[int, str]]:
    """(parameters, label) of every supervisor of a sweep, by rising size: its place decides its colour."""
    return sorted({(g.weak_params, g.weak_model) for g in results.groups})


def task_facets(results: Results) -> Facets:
    """A panel per weak → strong pair: the median over tasks with its interval, and a point per task."""
    groups: dict[tuple[str, str], list[Group]] = {}
    for g in results.groups:
        if g.seeds:
            groups.setdefault((g.pair, results.variant(g)), []).append(g)
    panels: dict[str, list[Group]] = {}
    for m in results.medians:
        found = groups.get((m.pair, results.variant(m)), [])
        if found:
            said = _without(m.unidentified, len(found))
            merged = replace(_mean(found), pgr=m.pgr, unidentified=said)
            panels.setdefault(m.pair, []).append(merged)
    most = min(MOST_PANELS, _fit(finished_variants(results)))
    shown, variants, left_out = _bound(results, panels, most)
    spread = any(g.pgr.low is not None for panel in shown for g in panel.groups)
    note = "line: 95 % interval of the median, between two ordered tasks" if spread else "intervals need 6 tasks"
    note += "; small points: tasks; "
    note += facts(results, interval=False) + left_out
    return Facets(shown, variants, note, order=all_variants(results))


def average(groups: Sequence[Group], panel: Callable[[Group], str]) -> list[Group]:
    """Groups of one panel and variant merged into one: means and intervals over them, of the PGR the median, as in
    tables."""
    members: dict[tuple[str, ...], list[Group]] = {}
    for g in groups:
        members.setdefault((panel(g), g.loss, g.method, g.finetune), []).append(g)
    return [_mean(found) for found in members.values()]


def has_intervals(groups: Sequence[Group]) -> bool:
    """Whether there is an interval to tell of."""
    return any(g.student.low is not None for g in groups)


def _mean(groups: Sequence[Group]) -> Group:
    low, high = METRICS[groups[0].metric].bounds

    def over(values: Sequence[float | None], least: float = low, most: float = high) -> Interval:
        known = [value for value in values if value is not None]
        found = t_interval(known)
        if found.low is None or found.high is None:
            return found
        if len(known) < LEAST:
            return Interval(found.value)
        return Interval(found.value, max(least, found.low), min(most, found.high))

    points = tuple(g.pgr.value for g in groups if g.pgr.value is not None)
    shares = [name for name in SHARES if all(name in g.details for g in groups)]
    left = len(groups) - len(points)
    return replace(
        groups[0],
        dataset="",
        seeds=tuple(sorted({seed for g in groups for seed in g.seeds})),
        unidentified=_without(left, len(groups)),
        chance=fmean(g.chance for g in groups),
        weak=over([g.weak.value for g in groups]),
        student=over([g.student.value for g in groups]),
        ceiling=over([g.ceiling.value for g in groups]),
        gain=over([g.gain.value for g in groups], low - high, high - low),
        gap=over([g.gap.value for g in groups], low - high, high - low),
        pgr=median_interval(points),
        ratios=points,
        details={name: over([g.details[name].value for g in groups], 0, 1) for name in shares},
    )


def _without(left: int, count: int) -> str:
    """What a median says of the groups that are not in it, in few letters: it stands beside its row."""
    return f"no PGR: {left}/{count}" if left else ""


def _over(results: Results) -> list[str]:
    """What the intervals of groups are over: a group with one finished seed knows nothing of other runs."""
    found = {g.over for g in results.groups if g.seeds}
    return [text for text in (SEVERAL, ONE) if text in found] or [ONE]


def facts(results: Results, averaged: str = "", *, interval: bool = True, pgr: bool = True) -> str:
    """`n test = 500; seeds 0, 1, 2; line: 95 % interval over seeds; ...`."""
    sizes = sorted({row.n_test for row in results.rows if row.n_test is not None})
    seeds = sorted({row.seed for row in results.rows if row.state == "done"})
    n_test = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}" if sizes else "-"
    shown = ", ".join(map(str, seeds)) if len(seeds) <= 6 else f"{len(seeds)} of them"
    source = f"over {averaged} (t)" if averaged else f"over {' or '.join(_over(results))}"
    parts = [f"mean over {averaged}{', of PGR the median' * pgr}"] if averaged else []
    datasets = {row.dataset for row in results.rows}
    parts += [next(iter(datasets))] if len(datasets) == 1 else []
    parts += [f"n test = {n_test}", f"{'seed' if len(seeds) == 1 else 'seeds'} {shown}"]
    parts += [f"line: 95 % interval {source}"] if interval else []
    groups = [g for g in results.groups if g.seeds]
    unknown = sum(bool(g.unidentified) for g in groups)
    parts += (
        [f"PGR not identified in {results.count_groups(unknown, len(groups))} (left out)"] if unknown and pgr else []
    )
    done, total = results.count("done"), len(results.rows)
    parts += [] if done == total else [f"{done} of {total} cells finished"]
    return "; ".join(parts)
