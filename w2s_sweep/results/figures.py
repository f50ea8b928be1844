"""The figures of a sweep: PGR per loss, the paper's bars, scaling with student size. No point is hidden."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_sweep.metrics import Interval
from w2s_sweep.results.canvas import (
    INK,
    MARKERS,
    PALETTE,
    QUIET,
    STYLE,
    limited,
    panels,
    robust_range,
    save,
    whisker,
    wrapped,
)
from w2s_sweep.results.rows import Group, Results
from w2s_sweep.results.scaling import draw_scaling
from w2s_sweep.results.scatter import draw_gain, draw_tasks
from w2s_sweep.results.scene import Scene, over_tasks, scene
from w2s_sweep.results.strength import draw_strength

SHOWN = (-1.0, 2.0)
"""Largest range of a PGR axis; points beyond it are drawn as arrows at its ends."""


@dataclass(frozen=True)
class Figure:
    """A drawn figure."""

    name: str
    caption: str
    png: Path
    svg: Path


def draw_figures(results: Results, folder: Path) -> list[Figure]:
    """Draw all figures that the results allow into `folder`; none when no cell is finished."""
    shown = scene(results)
    if not shown.panels:
        return []
    import matplotlib

    with matplotlib.rc_context(STYLE):
        if len({g.dataset for g in results.groups if g.seeds}) > 1:
            found = _over_tasks(results, shown) + _of_sizes(results, shown) + _of_panels(results, shown)
        else:
            found = _of_panels(results, shown) + _of_sizes(results, shown)
        found.append(("gain", "Gain in Brier score against misfit", draw_gain(results, shown)))
        return [Figure(name, caption, *save(figure, folder / name)) for name, caption, figure in found]


Drawn = list[tuple[str, str, Any]]
"""Name, caption, matplotlib figure."""


def _over_tasks(results: Results, shown: Scene) -> Drawn:
    medians = draw_pgr(results, over_tasks(results), "median over tasks")
    return [
        ("medians", "Median PGR over tasks", medians),
        ("tasks", "PGR of each task against its gap", draw_tasks(results, shown)),
    ]


def _of_panels(results: Results, shown: Scene) -> Drawn:
    """What is drawn for every task and pair of models."""
    bars = ("accuracy", "Weak supervisor, student and ceiling", draw_bars(results, shown))
    several = shown.averaged and len({g.dataset for g in results.groups if g.seeds}) > 1
    return [bars] if several else [("pgr", "PGR by loss and method", draw_pgr(results, shown)), bars]


def _of_sizes(results: Results, shown: Scene) -> Drawn:
    """What needs several strong models."""
    groups = [g for g in results.groups if g.seeds]
    found: Drawn = []
    if len({g.strong_model for g in groups}) > 1:
        found.append(("strength", "Student against the strong model", draw_strength(results, shown)))
    if len({g.strong_params for g in groups}) > 1:
        found.append(("scaling", "Scaling with the student's size", draw_scaling(results, shown)))
    return found


def color_of(shown: Scene, variant: str) -> str:
    return PALETTE[shown.variants.index(variant) % len(PALETTE)]


def marker_of(shown: Scene, variant: str) -> str:
    return MARKERS[shown.variants.index(variant) % len(MARKERS)]


def _layout(shown: Scene, rows: int) -> tuple[int, tuple[float, float]]:
    """Columns of panels and inches of a panel with so many rows of data."""
    count = len(shown.panels)
    strong = len({g.strong_model for panel in shown.panels for g in panel.groups})
    even = strong in (2, 3, 4) and count % strong == 0
    columns = 1 if count == 1 else strong if even else 2 if count in (2, 4) else 3
    titles = max(wrapped(panel.title, _title_width(columns)).count("\n") for panel in shown.panels)
    return columns, ({1: 7.2, 2: 4.4, 3: 3.3, 4: 2.8}[columns], 0.5 + 0.26 * rows + 0.14 * titles)


def _title_width(columns: int) -> int:
    """Characters of a panel's title that fit into a line."""
    return {1: 80, 2: 48, 3: 36, 4: 28}[columns]


def _finish(axes: Sequence[Any], shown: Scene, columns: int, labels: Sequence[str], across: str) -> None:
    """Name the rows on the left and the x axis under the last panel of every column."""
    count = len(shown.panels)
    for place, (axis, panel) in enumerate(zip(axes, shown.panels, strict=False)):
        axis.set_title(wrapped(panel.title, _title_width(columns)), loc="left")
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="both", length=0)
        if place + columns >= count:
            axis.set_xlabel(across)
            axis.tick_params(axis="x", labelbottom=True)
    axes[0].locator_params(axis="x", nbins=7 if columns == 1 else 5)
    axes[0].set_yticks(range(len(labels)), [wrapped(label) for label in labels])
    axes[0].set_ylim(len(labels) - 0.4, -0.6)


def draw_pgr(results: Results, shown: Scene, of: str = "") -> Any:
    """A panel per weak → strong pair, a row per loss: points are seeds, the large marker and line mean and interval."""
    columns, size = _layout(shown, len(shown.variants))
    groups = [g for panel in shown.panels for g in panel.groups]
    ends = [value for g in groups for value in (*g.pgr_points, *_ends(g.pgr))]
    limits = robust_range(ends, (-0.1, 1.1), SHOWN)
    title = f"Performance gap recovered (PGR of test {results.rows[0].metric}) by loss{of and f', {of}'}"
    points = "; small points: seeds" if any(len(g.pgr_points) > 1 for g in groups) else ""
    note = shown.note + (points if not of and not shown.averaged else "") + _arrows(ends, limits)
    figure, axes = panels(len(shown.panels), columns, size, title, note, sharex=True, sharey=True)
    for axis, panel in zip(axes, shown.panels, strict=False):
        for g in panel.groups:
            _pgr_row(axis, g, shown, results.variant(g), limits)
        for x in (0, 1):
            axis.axvline(x, color=QUIET, lw=1, ls=(0, (4, 3)), zorder=1)
    axes[0].set_xlim(limits)
    _finish(axes, shown, columns, shown.variants, "PGR (0 = weak, 1 = ceiling)")
    return figure


def _pgr_row(axis: Any, group: Group, shown: Scene, variant: str, limits: Sequence[float]) -> None:
    """One group in its row."""
    at, color = shown.variants.index(variant), color_of(shown, variant)
    if len(group.pgr_points) > 1:
        for p in group.pgr_points:
            _point(axis, p, at + 0.24, limits, color, "o", 2.8)
    if group.pgr.value is not None:
        whisker(axis, group.pgr, at - 0.06, color, width=2, limits=limits)
        _point(axis, group.pgr.value, at - 0.06, limits, color, marker_of(shown, variant), 6)
    if group.undefined:
        text = "undefined" if group.pgr.value is None else f"{group.undefined} undef."
        axis.annotate(text, (1.01, at), xycoords=("axes fraction", "data"), va="center", color=QUIET, size=7)


def _point(axis: Any, x: float, y: float, limits: Sequence[float], color: str, marker: str, size: float) -> None:
    """A point; beyond the axis it is an arrow at the axis' end."""
    inside, arrow = limited(x, limits, "<>")
    size = max(size, 4) if arrow else size
    axis.plot(inside, y, arrow or marker, color=color, ms=size, mew=0, clip_on=False, zorder=5)


def draw_bars(results: Results, shown: Scene) -> Any:
    """The paper's bars: weak, student by loss, ceiling. A bar starts at chance."""
    labels = ["weak supervisor", *shown.variants, "ceiling"]
    columns, size = _layout(shown, len(labels))
    metric = results.rows[0].metric
    groups = [g for panel in shown.panels for g in panel.groups]
    chance = min(g.chance for g in groups)
    title = f"Test {metric} of weak supervisor, student by loss, and ceiling"
    scores = [score for g in groups for score in (g.weak, g.student, g.ceiling)]
    limits = _span(scores, chance)
    arrows = _arrows([end for score in scores for end in _ends(score)], limits)
    note = f"bars start at chance, {chance:.2f}; {shown.note}{arrows}"
    figure, axes = panels(len(shown.panels), columns, size, title, note, sharex=True, sharey=True)
    for axis, panel in zip(axes, shown.panels, strict=False):
        _bar(axis, 0, panel.groups[0].weak, QUIET, chance, limits)
        for g in panel.groups:
            variant = results.variant(g)
            _bar(axis, 1 + shown.variants.index(variant), g.student, color_of(shown, variant), chance, limits)
        _bar(axis, len(labels) - 1, panel.groups[0].ceiling, INK, chance, limits)
        axis.axvline(chance, color=QUIET, lw=1, zorder=1)
    axes[0].set_xlim(limits)
    _finish(axes, shown, columns, labels, "accuracy (share of test examples)" if metric == "accuracy" else "AUROC")
    return figure


def _span(scores: Sequence[Interval], chance: float) -> list[float]:
    """Limits that hold all bars, and intervals as far as they are no wider than a tenth on either side."""
    values = [score.value for score in scores if score.value is not None]
    outside = max(0.0, min([chance, *values]) - 0.1), min(1.0, max(values) + 0.1)
    return robust_range([end for score in scores for end in _ends(score)], (chance, chance + 0.1), outside)


def _arrows(ends: Sequence[float], limits: Sequence[float]) -> str:
    """What the note says of arrows, where there are any."""
    return "; arrows: beyond the axis" if any(limited(end, limits)[1] for end in ends) else ""


def _ends(estimate: Interval) -> list[float]:
    return [value for value in (estimate.value, estimate.low, estimate.high) if value is not None]


def _bar(axis: Any, at: float, estimate: Interval, color: str, start: float, limits: Sequence[float]) -> None:
    if estimate.value is None:
        return
    axis.barh(at, estimate.value - start, left=start, height=0.66, color=color, zorder=2)
    whisker(axis, estimate, at, "white", width=3.2, limits=limits)
    whisker(axis, estimate, at, INK if color != INK else QUIET, limits=limits)
