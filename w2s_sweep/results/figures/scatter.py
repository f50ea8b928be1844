"""A point per task or setting: PGR against the gap it is a share of; the gain in Brier score against the misfit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from w2s_sweep.results.figures.facets import facets, facts
from w2s_sweep.results.figures.style import (
    INK,
    MARKERS,
    MODELS,
    PALETTE,
    PGR_RANGE,
    QUIET,
    add_tip,
    clamp,
    make_panels,
    robust_range,
    use_style,
    wrap,
)
from w2s_sweep.results.records import Group, Results
from w2s_sweep.results.tables.lines import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 9
"""Panels; further settings are in the tables."""


@dataclass(frozen=True)
class Point:
    """One task under one setting and pair of models, over its seeds."""

    task: str
    pair: str
    variant: str
    gap: float
    """Ceiling minus weak supervisor."""
    pgr: float | None
    """None where it is not identified."""


def task_points(results: Results) -> list[Point]:
    """A point for every group with a finished cell whose metric is defined."""
    found: list[Point] = []
    for g in results.groups:
        if g.gap.value is not None:
            found.append(Point(g.dataset, g.pair, results.variant(g), g.gap.value, g.pgr.value))
    return found


@use_style
def draw_tasks(results: Results) -> "Figure":
    """A panel per setting, a colour per pair of models; a level line is the pair's median over tasks."""
    shown, points = facets(results), task_points(results)
    variants = shown.variants[:MOST]
    pairs = list(dict.fromkeys(p.pair for p in points))
    columns = {1: 1, 2: 2, 4: 2}.get(len(variants), 3)
    metric, tasks = results.rows[0].metric, len({p.task for p in points})
    unknown = sum(p.pgr is None for p in points)
    note = f"a point is one of {tasks} tasks (over its seeds); level line: median over tasks"
    note += f"; crosses at the bottom: PGR not identified ({unknown})" if unknown else ""
    note += _left(len(shown.variants) - len(variants))
    size = ({1: 6.4, 2: 4.4, 3: 3.3}[columns], 2.7)
    title = f"PGR of each task against the gap in test {metric} it is a share of"
    figure, axes = make_panels(
        len(variants), columns, size, title, f"{note}; {facts(results, interval=False)}", sharex=True, sharey=True
    )
    limits = robust_range([p.pgr for p in points if p.pgr is not None], (-0.05, 1.05), PGR_RANGE)
    for place, (axis, variant) in enumerate(zip(axes, variants, strict=False)):
        for p in points:
            if p.variant == variant:
                _point(axis, p, pairs.index(p.pair), limits)
        for m in results.medians:
            if results.variant(m) == variant and m.pgr.value is not None and m.pair in pairs:
                y, _ = clamp(m.pgr.value, limits)
                axis.axhline(y, color=_look(pairs.index(m.pair))[0], lw=1.2, zorder=2)
        for y in (0, 1):
            axis.axhline(y, color=QUIET, lw=1, ls=(0, (4, 3)), zorder=1)
        axis.set_title(wrap(variant, 40), loc="left")
        axis.tick_params(length=0)
        if place % columns == 0:
            axis.set_ylabel("PGR")
        if place + columns >= len(variants):
            axis.set_xlabel(f"ceiling − weak ({metric})")
            axis.tick_params(axis="x", labelbottom=True)
    axes[0].set_ylim(limits)
    _legend(figure, axes[0], pairs)
    return figure


def _look(pair: int) -> tuple[str, str]:
    """Colour and marker of a pair of models: a marker for as many pairs as there are colours, then the next one."""
    return MODELS[pair % len(MODELS)], MARKERS[pair // len(MODELS) % len(MARKERS)]


def _point(axis: Any, p: Point, index: int, limits: Sequence[float]) -> None:
    color, marker = _look(index)
    about = f"{p.task}, {p.pair}, {p.variant}: gap {number(p.gap)}, PGR {number(p.pgr, 2)}"
    if p.pgr is None:
        add_tip(axis.plot(p.gap, limits[0], "x", color=color, ms=4.5, mew=1.2, clip_on=False, zorder=5), about)
        return
    y, beyond = clamp(p.pgr, limits)
    add_tip(axis.plot(p.gap, y, beyond or marker, color=color, ms=4.5, mew=0, clip_on=False, zorder=4), about)


def _legend(figure: Any, axis: Any, pairs: Sequence[str]) -> None:
    """A line for every pair of models; none is needed for one."""
    if len(pairs) < 2:
        return
    for index, pair in enumerate(pairs):
        color, marker = _look(index)
        axis.plot([], [], marker, color=color, ms=4.5, label=pair)
    figure.legend(loc="outside lower left", ncols=min(4, len(pairs)))


def _left(count: int) -> str:
    return f"; {count} more settings are in the tables" if count else ""


def gain_points(results: Results) -> list[tuple[Group, float, float]]:
    """(group, misfit, gain in Brier score) of every group that has both."""
    measured = (g for g in results.groups if "misfit" in g.details)
    pairs = ((g, g.details["misfit"].value, g.details["gain/brier"].value) for g in measured)
    return [(g, misfit, gain) for g, misfit, gain in pairs if misfit is not None and gain is not None]


@use_style
def draw_gain(results: Results) -> "Figure":
    """Does the misfit, which needs no ground truth, predict the gain? On the line it does (arXiv 2405.15116)."""
    shown = facets(results)
    title = "Gain of the student over its supervisor against their misfit"
    note = (
        "both in units of the Brier score; on the line the gain is the misfit, as theory expects of students that can "
    )
    note += "express the truth (arXiv 2405.15116); a point is a mean over seeds"
    figure, axes = make_panels(1, 1, (7.2, 3.2), title, f"{note}; {facts(results, interval=False)}")
    axis, points = axes[0], gain_points(results)
    for g, misfit, gain in points:
        index = shown.variants.index(results.variant(g))
        about = f"{g.dataset}, {g.pair}, {results.variant(g)}: misfit {number(misfit)}, gain {number(gain)}"
        style = {"color": PALETTE[index % len(PALETTE)], "ms": 5, "mew": 0, "zorder": 4}
        add_tip(axis.plot(misfit, gain, MARKERS[index % len(MARKERS)], **style), about)
    end = max([0.01, *(max(misfit, gain) for _, misfit, gain in points)])
    axis.plot([0, end], [0, end], color=INK, lw=1, zorder=1)
    axis.axhline(0, color=QUIET, lw=1, ls=(0, (4, 3)), zorder=1)
    axis.set_xlabel("misfit (mean squared disagreement of student and supervisor)")
    axis.set_ylabel("gain in Brier score")
    axis.tick_params(length=0)
    for index, variant in enumerate(shown.variants):
        axis.plot([], [], MARKERS[index % len(MARKERS)], color=PALETTE[index % len(PALETTE)], ms=5, label=variant)
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure
