"""The paper's bars: the metric of weak supervisor, student by loss, and ceiling. A bar starts at chance."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from w2s_sweep.metrics import METRICS, Interval
from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures.facets import facets
from w2s_sweep.results.figures.layout import arrow_note, color_of, ends, layout, name_rows
from w2s_sweep.results.figures.style import INK, QUIET, add_tip, make_panels, robust_range, use_style, whisker
from w2s_sweep.results.tables.lines import interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@use_style
def draw_bars(results: Results) -> "Figure":
    """A panel per weak → strong pair, a bar per role; that of the student once for each loss."""
    shown = facets(results, pgr=False)
    labels = ["weak supervisor", *shown.variants, "ceiling"]
    columns, size = layout(shown, len(labels))
    metric = METRICS[results.rows[0].metric]
    groups = [g for panel in shown.panels for g in panel.groups]
    chance = min(g.chance for g in groups)
    title = f"Test {metric.name} of weak supervisor, student by loss, and ceiling"
    scores = [score for g in groups for score in (g.weak, g.student, g.ceiling)]
    limits = _span(scores, chance, metric.bounds)
    arrows = arrow_note([end for score in scores for end in ends(score)], limits)
    note = f"bars start at chance, {chance:.2f}; {shown.note}{arrows}"
    figure, axes = make_panels(len(shown.panels), columns, size, title, note, sharex=True, sharey=True)
    for axis, panel in zip(axes, shown.panels, strict=False):
        _draw_bar(axis, 0, panel.groups[0].weak, QUIET, chance, limits, f"{panel.title}, weak supervisor")
        for g in panel.groups:
            variant = results.variant(g)
            at, about = 1 + shown.variants.index(variant), f"{panel.title}, {variant}"
            _draw_bar(axis, at, g.student, color_of(shown, variant), chance, limits, about)
        _draw_bar(axis, len(labels) - 1, panel.groups[0].ceiling, INK, chance, limits, f"{panel.title}, ceiling")
        axis.axvline(chance, color=QUIET, lw=1, zorder=1)
    axes[0].set_xlim(limits)
    name_rows(axes, shown, columns, size[0], labels, metric.axis or metric.label)
    return figure


def _span(scores: Sequence[Interval], chance: float, bounds: tuple[float, float]) -> list[float]:
    """Limits that hold all bars, and intervals as far as they are no wider than a tenth on either side."""
    values = [score.value for score in scores if score.value is not None]
    outside = max(bounds[0], min([chance, *values]) - 0.1), min(bounds[1], max([chance, *values]) + 0.1)
    return robust_range([end for score in scores for end in ends(score)], (chance, chance + 0.1), outside)


def _draw_bar(
    axis: Any, at: float, estimate: Interval, color: str, start: float, limits: Sequence[float], about: str
) -> None:
    if estimate.value is None:
        return
    bars = axis.barh(at, estimate.value - start, left=start, height=0.66, color=color, zorder=2)
    add_tip(bars, f"{about}: {interval(estimate, 3)}")
    whisker(axis, estimate, at, "white", width=3.2, limits=limits)
    whisker(axis, estimate, at, INK if color != INK else QUIET, limits=limits)
