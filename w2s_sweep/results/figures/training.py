"""Curves over training: what the student is worth at each step, between its supervisor and its ceiling, and how many of
its supervisor's errors it has taken over: where it overfits to weak labels, the first falls while the second rises."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from w2s_sweep.arrays import Array
from w2s_sweep.metrics import METRICS, Interval
from w2s_sweep.results.collected import Results
from w2s_sweep.results.curve_point import CurvePoint
from w2s_sweep.results.figures.facets import MOST_LINES, MOST_PANELS, choose_settings, facts, panel_title
from w2s_sweep.results.figures.layout import ends, looks_of, title_letters
from w2s_sweep.results.figures.look import current
from w2s_sweep.results.figures.style import (
    INK,
    QUIET,
    add_tip,
    legend_below,
    make_panels,
    robust_range,
    use_style,
    wrap,
)
from w2s_sweep.results.tables.lines import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_DETAILED = 6
"""With more panels than this, errors taken over have no panels."""
MOST_BANDS = 2
"""With more series than this, intervals would cover the lines, and are in curves.parquet alone."""
Value = Callable[[CurvePoint], Interval]
Looks = Mapping[str, tuple[str, str]]
"""Setting -> its colour and marker."""


@dataclass(frozen=True)
class Series:
    """One setting in one panel, by rising evaluation; several points an evaluation where tasks are averaged."""

    variant: str
    points: tuple[tuple[CurvePoint, ...], ...]

    def line(self, value: Value) -> list[Interval]:
        """The number of each evaluation; with several tasks their mean, without an interval."""
        return [_mean([value(point) for point in points]) for points in self.points]

    @property
    def known(self) -> bool:
        """Whether the metric has a value at any evaluation."""
        return any(value.value is not None for value in self.line(_student))


def _mean(values: Sequence[Interval]) -> Interval:
    if len(values) == 1:
        return values[0]
    known = [one.value for one in values if one.value is not None]
    return Interval(fmean(known) if known else None)


def student_series(results: Results) -> tuple[dict[str, list[Series]], int]:
    """(title of a panel -> its series, over how many tasks they are averaged: 1 where they are not)."""
    points = [point for point in results.curves if point.role == "student"]
    tasks = len({point.dataset for point in points})
    average = tasks > 1 and len({(point.dataset, point.pair) for point in points}) > MOST_PANELS
    pairs = len({point.pair for point in points})
    found: dict[str, dict[str, dict[int, list[CurvePoint]]]] = {}
    for point in points:
        title = panel_title(point.dataset, point.pair, 1 if average else tasks, pairs)
        series = found.setdefault(title, {}).setdefault(results.variant(point), {})
        series.setdefault(point.evaluation, []).append(point)
    panels = {
        title: [Series(name, tuple(tuple(at[i]) for i in sorted(at))) for name, at in series.items()]
        for title, series in found.items()
    }
    return panels, tasks if average else 1


def has_curves(results: Results) -> bool:
    return any(point.role == "student" and point.value.value is not None for point in results.curves)


@use_style
def draw_curves(results: Results) -> "Figure":
    """A panel per task and pair of models, a line per setting; below it, the supervisor's errors that are repeated."""
    panels, tasks = student_series(results)
    drawable = {one.variant for series in panels.values() for one in series if one.known}
    chosen, left_out = choose_settings(results, drawable, MOST_LINES, "curves.csv")
    kept = {name: [one for one in series if one.variant in chosen and one.known] for name, series in panels.items()}
    drawn = {name: series for name, series in kept.items() if series}
    detailed = len(drawn) <= MOST_DETAILED
    rows = 2 if detailed else 1
    shown = dict([*drawn.items()][: min(MOST_PANELS, current().most_panels(4, rows=rows))])
    looks = {name: look for name, look in looks_of(results).items() if name in _names(shown)}
    every = [p for series in shown.values() for one in series for points in one.points for p in points]
    in_steps = len({p.steps for p in every}) == 1
    columns = min(4, len(shown)) if len(shown) != 6 else 3
    metric = METRICS[every[0].metric]
    title = f"Students over training: test {metric.name}" + (", and errors of the supervisor repeated" * detailed)
    columns, size = current().fit(columns, ({1: 6.4, 2: 4.4, 3: 3.3, 4: 2.9}[columns], 2.3), rows * len(shown))
    blocks = -(-len(shown) // columns)
    right = any(_gap(series) for series in shown.values())
    note = _note(results, every, tasks, len(panels) - len(shown), right=right) + left_out
    figure, axes = make_panels(rows * blocks * columns, columns, size, title, note, sharex=True)
    for place, (name, series) in enumerate(shown.items()):
        at = rows * (place // columns) * columns + place % columns
        top, below = axes[at], axes[at + columns] if detailed else None
        _draw_scores(top, series, looks, in_steps=in_steps, right=place % columns == columns - 1)
        top.set_title(wrap(name, title_letters(size[0])), loc="left")
        if below is not None:
            _draw_lines(below, series, looks, lambda p: p.agreement_supervisor_wrong, in_steps=in_steps)
        for axis, label in ((top, f"test {metric.name}"), (below, "errors repeated")):
            if axis is not None and place % columns == 0:
                axis.set_ylabel(label)
        if place + columns >= len(shown):
            last = below or top
            last.set_xlabel("optimizer step" if in_steps else "share of training")
            last.tick_params(labelbottom=True)
    for place in range(len(shown), blocks * columns):
        for row in range(rows):
            axes[rows * (place // columns) * columns + place % columns + row * columns].set_visible(False)
    _legend(figure, axes[0], looks)
    return figure


def _names(panels: Mapping[str, Sequence[Series]]) -> set[str]:
    return {one.variant for series in panels.values() for one in series}


def _note(results: Results, every: Sequence[CurvePoint], tasks: int, left: int, *, right: bool) -> str:
    """n, what is averaged, and what is not there."""
    sizes = sorted({p.n_test for p in every})
    n_test = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    said = [f"of {n_test} test rows, on which weak and ceiling are their final ones"]
    said += [f"mean over {tasks} tasks"] if tasks > 1 else []
    said += ["right axis: PGR"] if right else []
    groups = [g for g in results.groups if g.seeds]
    absent = len(groups) - len({p.group for p in results.curves if p.role == "student"})
    said += [f"no curve of {results.count_groups(absent, len(groups))}"] if absent else []
    said += [f"{left} more panels are in curves.parquet only"] if left else []
    return "; ".join([*said, facts(results, interval=False, pgr=False)])


def _draw_scores(axis: Any, series: Sequence[Series], looks: Looks, *, in_steps: bool, right: bool) -> None:
    """The metric of students, with a line for each supervisor and ceiling that they have."""
    weak, ceiling = _finals(series, _weak), _finals(series, _ceiling)
    for levels, color, style in ((weak, QUIET, (0, (4, 2))), (ceiling, INK, "-")):
        for level in levels:
            axis.axhline(level, color=color, lw=1.2, ls=style, zorder=2)
    _draw_lines(axis, series, looks, _student, in_steps=in_steps)
    values = [end for one in series for value in one.line(_student) for end in ends(value)[:1]]
    axis.set_ylim(robust_range([*values, *weak, *ceiling], (0.99, 0.01), (0.0, 1.0)))
    if gap := _gap(series):
        _pgr_axis(axis, *gap, named=right)


def _finals(series: Sequence[Series], value: Value) -> list[float]:
    """What supervisors, or ceilings, are worth in the end."""
    return sorted({round(end.value, 6) for one in series for end in one.line(value)[-1:] if end.value is not None})


def _gap(series: Sequence[Series]) -> tuple[float, float] | None:
    """(supervisor, ceiling) of a panel that has one of each, of one task, so that its lines are PGRs too."""
    weak, ceiling = _finals(series, _weak), _finals(series, _ceiling)
    alone = all(len(points) == 1 for one in series for points in one.points)
    return (weak[0], ceiling[0]) if alone and len(weak) == len(ceiling) == 1 and weak[0] < ceiling[0] else None


def _student(point: CurvePoint) -> Interval:
    return point.value


def _weak(point: CurvePoint) -> Interval:
    return point.weak


def _ceiling(point: CurvePoint) -> Interval:
    return point.ceiling


def _pgr_axis(axis: Any, weak: float, ceiling: float, *, named: bool) -> None:
    """The same axis in units of the gap: 0 is the supervisor, 1 the ceiling."""
    gap = ceiling - weak

    def share(values: Array) -> Array:
        return (values - weak) / gap

    def score(shares: Array) -> Array:
        return weak + shares * gap

    other = axis.secondary_yaxis("right", functions=(share, score))
    other.set_yticks([0, 0.5, 1])
    other.tick_params(length=0, colors=QUIET)
    other.spines["right"].set_visible(False)
    if named:
        other.set_ylabel("PGR", color=QUIET)


def _draw_lines(axis: Any, series: Sequence[Series], looks: Looks, value: Value, *, in_steps: bool) -> None:
    """A line for each setting, with a band for its interval where there are few."""
    for one in series:
        color, marker = looks[one.variant]
        xs = [points[0].step if in_steps else points[0].evaluation / len(one.points) for points in one.points]
        line = one.line(value)
        known = [(x, y.value) for x, y in zip(xs, line, strict=True) if y.value is not None]
        drawn = axis.plot(
            [x for x, _ in known], [y for _, y in known], color=color, marker=marker, ms=3.2, lw=1.4, zorder=4
        )
        add_tip(drawn, f"{one.variant}: {', '.join(number(y) for _, y in known)}")
        band = [(x, y.low, y.high) for x, y in zip(xs, line, strict=True) if y.low is not None]
        if band and len(series) <= MOST_BANDS:
            axis.fill_between(*zip(*band, strict=True), color=color, alpha=0.14, lw=0, zorder=1)
    axis.tick_params(length=0)
    axis.locator_params(axis="y", nbins=5)
    axis.locator_params(axis="x", nbins=5)


def _legend(figure: Any, axis: Any, looks: Looks) -> None:
    handles = [axis.plot([], [], color=color, marker=marker, ms=4, lw=1.4)[0] for color, marker in looks.values()]
    handles += axis.plot([], [], color=QUIET, lw=1.2, ls=(0, (4, 2))) + axis.plot([], [], color=INK, lw=1.2)
    legend_below(figure, handles, [*looks, "weak supervisor (final)", "ceiling (final)"])
