"""Accuracy and PGR against the student's size, a column per loss; hue is the supervisor, ink is the ceiling."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from w2s_sweep.metrics import Interval
from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures.facets import average, facts, finished_variants, has_intervals, supervisors
from w2s_sweep.results.figures.layout import look_of, title_letters
from w2s_sweep.results.figures.look import current
from w2s_sweep.results.figures.style import (
    INK,
    MODELS,
    PGR_RANGE,
    QUIET,
    add_tip,
    grid,
    legend_below,
    make_panels,
    most_panels,
    robust_range,
    use_style,
    whisker,
    wrap,
)
from w2s_sweep.results.records import Group
from w2s_sweep.results.tables.lines import interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 9


@use_style
def draw_scaling(results: Results) -> "Figure":
    """Blocks of two rows of panels: test metric, PGR. x is the number of parameters of the student on a log scale."""
    every, (groups, tasks) = finished_variants(results), scaling_groups(results)
    variants, metric = every[: most_panels(len(every), MOST, 2)], results.rows[0].metric
    left = len(every) - len(variants)
    title = f"Test {metric} and PGR against the size of the student"
    said = facts(results, f"{tasks} tasks" if tasks > 1 else "", interval=has_intervals(groups))
    unknown = "; dotted upright: PGR not identified" if any(g.unidentified for g in groups) else ""
    note = f"dotted: the supervisor itself{unknown}; {said}" + (
        f"; {left} more series are in the tables" if left else ""
    )
    columns, size = grid(len(variants), 2.25 if len(variants) <= 6 else 1.8, 2)
    blocks = -(-len(variants) // columns)
    figure, axes = make_panels(2 * blocks * columns, columns, size, title, note, sharex=True, sharey="row")
    both = [(axes[2 * (i // columns) * columns + i % columns], axes[(2 * (i // columns) + 1) * columns + i % columns])
            for i in range(blocks * columns)]  # fmt: skip
    weak_models = supervisors(results)
    for (top, bottom), variant in zip(both, variants, strict=False):
        _column(top, bottom, [g for g in groups if results.variant(g) == variant], weak_models)
        top.set_title(wrap(variant, title_letters(size[0])), loc="left")
    for spare in both[len(variants) :]:
        for axis in spare:
            axis.set_visible(False)
    _name(both[: len(variants)], columns, groups, metric)
    handles, labels = _legend(both[0][0])
    legend_below(figure, handles, labels)
    return figure


def scaling_groups(results: Results) -> tuple[list[Group], int]:
    """(what is drawn, over how many tasks it is averaged)."""
    groups = [g for g in results.groups if g.seeds]
    tasks = len({g.dataset for g in groups})
    return (average(groups, lambda g: g.pair) if tasks > 1 else groups), tasks


def _column(top: Any, bottom: Any, groups: Sequence[Group], weak_models: Sequence[tuple[int, str]]) -> None:
    """Accuracy above and PGR below, for one loss."""
    sizes = [g.strong_params for g in groups]
    apart = _dodge(min(sizes), max(sizes))
    beside = apart ** (len(weak_models) / 2)
    ceilings = {g.strong_params * beside: g.ceiling for g in groups}
    for index, (params, weak) in enumerate(weak_models):
        mine = sorted((g for g in groups if g.weak_model == weak), key=lambda g: g.strong_params)
        if not mine:
            continue
        color, marker = look_of(index, MODELS)
        label = f"supervisor {weak} ({short(params)})"
        aside = apart ** (index - len(weak_models) / 2)
        _line(top, [(g.strong_params * aside, g.student) for g in mine], color, marker, label)
        _line(bottom, [(g.strong_params * aside, g.pgr) for g in mine], color, marker, label, PGR_RANGE)
        for g in mine:
            if g.pgr.value is None and g.unidentified:
                bottom.axvline(g.strong_params * aside, color=color, lw=1.4, ls=(0, (1, 2)), zorder=1)
        known = [g.weak.value for g in mine if g.weak.value is not None]
        if known:
            top.axhline(known[0], color=color, lw=1, ls=":", zorder=1)
    _line(top, sorted(ceilings.items()), INK, "D", "ceiling (ground truth)")
    if all(g.pgr.value is None for g in groups):
        about = {
            "transform": bottom.transAxes,
            "ha": "center",
            "va": "center",
            "color": QUIET,
            "size": current().scale(8),
        }
        bottom.text(0.5, 0.5, "PGR not identified", **about)
    for y in (0, 1):
        bottom.axhline(y, color=QUIET, lw=1, ls=(0, (4, 3)), zorder=1)


def _dodge(smallest: float, largest: float) -> float:
    """The factor between two supervisors at one size of the student, so that their intervals do not hide each other."""
    return (1.56 * largest / smallest) ** 0.012


def _line(
    axis: Any,
    points: Sequence[tuple[float, Interval]],
    color: str,
    marker: str,
    label: str,
    limits: tuple[float, float] = (float("-inf"), float("inf")),
) -> None:
    """Points with intervals, joined; a point beyond `limits` is an arrow at the limit."""
    known = [(x, min(max(e.value, limits[0]), limits[1]), e) for x, e in points if e.value is not None]
    xs, ys = [x for x, _, _ in known], [y for _, y, _ in known]
    axis.plot(xs, ys, color=color, marker=marker, ms=4, lw=1.4, label=label, zorder=4)
    for x, y, estimate in known:
        add_tip(axis.plot(x, y, marker, color=color, ms=4, mew=0, zorder=5), f"{label}: {interval(estimate, 3)}")
        whisker(axis, estimate, x, color, upright=True, width=0.9)
        if y != estimate.value:
            axis.plot(x, y, "^" if y == limits[1] else "v", color=color, ms=8, clip_on=False, zorder=5)


def _name(grid: Sequence[tuple[Any, Any]], columns: int, groups: Sequence[Group], metric: str) -> None:
    """Axes: sizes below every block, the metric and PGR on the left."""
    from matplotlib.ticker import FixedLocator, NullLocator

    sizes = sorted({g.strong_params for g in groups})
    pgrs = [g.pgr.value for g in groups if g.pgr.value is not None]
    for place, (top, bottom) in enumerate(grid):
        for axis in (top, bottom):
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(FixedLocator(_apart(sizes)))
            axis.xaxis.set_major_formatter(_size_label)
            axis.xaxis.set_minor_locator(NullLocator())
            axis.set_xlim(sizes[0] / 1.25, sizes[-1] * 1.25)
            axis.tick_params(length=0)
        bottom.tick_params(labelbottom=True)
        bottom.set_xlabel("student parameters")
        if place % columns == 0:
            top.set_ylabel(f"test {metric}")
            bottom.set_ylabel("PGR")
            bottom.set_ylim(robust_range(pgrs, (-0.05, 1.05), PGR_RANGE))


def _apart(sizes: Sequence[int]) -> list[int]:
    """Sizes that are far enough from each other on a log axis for their labels not to touch."""
    apart: list[int] = []
    for size in sizes:
        if not apart or size > apart[-1] * (sizes[-1] / sizes[0]) ** 0.16:
            apart.append(size)
    return apart


def _legend(axis: Any) -> tuple[list[Any], list[str]]:
    found = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    return list(found.values()), list(found)


def students(results: Results) -> list[tuple[int, str]]:
    """(parameters, label) of every strong model, by rising size."""
    return sorted({(g.strong_params, g.strong_model) for g in results.groups})


def _size_label(size: float, _: int) -> str:
    return short(round(size))


def short(params: int) -> str:
    """`14M`, `1.4B`."""
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if params >= unit:
            return f"{params / unit:.3g}{name}"
    return str(params)
