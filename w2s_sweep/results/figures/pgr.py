"""PGR by loss and method, of each task and pair of models, and its median over tasks. No point is hidden."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures.facets import Facets, facets, task_facets
from w2s_sweep.results.figures.layout import arrow_note, color_of, ends, layout, marker_of, name_rows, pgr_limits
from w2s_sweep.results.figures.look import current
from w2s_sweep.results.figures.points import Dot, draw_dots
from w2s_sweep.results.figures.style import (
    QUIET,
    add_tip,
    clamp,
    make_panels,
    use_style,
    whisker,
)
from w2s_sweep.results.records import Group
from w2s_sweep.results.tables.lines import interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@use_style
def draw_pgr(results: Results) -> "Figure":
    """A panel per weak → strong pair, a row per loss: points are seeds, the large marker the ratio of mean gaps."""
    shown = facets(results)
    points = any(len(g.ratios) > 1 for panel in shown.panels for g in panel.groups)
    return _draw(
        results,
        shown,
        "",
        "; large: ratio of mean gaps; small: each seed's own" if points and not shown.averaged else "",
    )


@use_style
def draw_medians(results: Results) -> "Figure":
    """As `draw_pgr`, of all tasks: points are tasks, the large marker is their median."""
    return _draw(results, task_facets(results), ", median over tasks", "")


def _draw(results: Results, shown: Facets, of: str, about: str) -> "Figure":
    columns, size = layout(shown, len(shown.variants))
    groups = [g for panel in shown.panels for g in panel.groups]
    points = [value for g in groups for value in (*g.ratios, *ends(g.pgr)[:1])]
    values = [*points, *(end for g in groups for end in ends(g.pgr))]
    limits = pgr_limits(points, values)
    title = f"Performance gap recovered (PGR of test {results.rows[0].metric}) by loss{of}"
    note = shown.note + about + arrow_note(values, limits)
    figure, axes = make_panels(len(shown.panels), columns, size, title, note, sharex=True, sharey=True)
    for axis, panel in zip(axes, shown.panels, strict=False):
        for g in panel.groups:
            _draw_row(axis, g, shown, results.variant(g), panel.title, limits)
        for x in (0, 1):
            axis.axvline(x, color=QUIET, lw=1, ls=(0, (4, 3)), zorder=1)
    axes[0].set_xlim(limits)
    name_rows(axes, shown, columns, size[0], shown.variants, "PGR (0 = weak, 1 = ceiling)")
    return figure


def _draw_row(axis: Any, group: Group, shown: Facets, variant: str, panel: str, limits: Sequence[float]) -> None:
    """One group in its row."""
    at, color = shown.variants.index(variant), color_of(shown, variant)
    if len(group.ratios) > 1 or group.pgr.value is None:
        both = [clamp(ratio, limits, "<>") for ratio in group.ratios]
        draw_dots(axis, (Dot(x, at + 0.24, "o", color) for x, beyond in both if not beyond), 2.8, order=5)
        draw_dots(axis, (Dot(x, at + 0.24, beyond, color) for x, beyond in both if beyond), 4, order=5)
    if group.pgr.value is not None:
        whisker(axis, group.pgr, at - 0.06, color, width=2, limits=limits)
        about = f"{panel}, {variant}: PGR {interval(group.pgr)}"
        add_tip(_draw_point(axis, group.pgr.value, at - 0.06, limits, color, marker_of(shown, variant), 6), about)
    if group.unidentified:  # any ratio fits: a line through the whole axis, and no marker
        none = group.pgr.value is None
        text = "not identified" if none else group.unidentified
        beside = {"xytext": (7, 0), "textcoords": "offset points"}  # a point at the edge is half outside
        where = {"xycoords": ("axes fraction", "data"), "va": "center", "color": QUIET, "size": current().scale(7)}
        axis.annotate(text, (1, at), **beside, **where)
        if none:
            axis.plot(limits, [at - 0.06, at - 0.06], color=color, lw=2, ls=(0, (1, 2)), alpha=0.6, zorder=3)


def _draw_point(
    axis: Any, x: float, y: float, limits: Sequence[float], color: str, marker: str, size: float
) -> Sequence[Any]:
    """A point; beyond the axis it is an arrow at the axis' end."""
    inside, arrow = clamp(x, limits, "<>")
    size = max(size, 4) if arrow else size
    return axis.plot(inside, y, arrow or marker, color=color, ms=size, mew=0, clip_on=False, zorder=5)
