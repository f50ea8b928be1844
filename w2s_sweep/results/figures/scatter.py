"""A point per task or setting: PGR against the gap it is a share of; the gain in Brier score against the misfit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures.facets import choose_settings, facts, finished_variants, supervisors
from w2s_sweep.results.figures.layout import look_of, looks_of, title_letters
from w2s_sweep.results.figures.look import current
from w2s_sweep.results.figures.points import Dot, draw_dots
from w2s_sweep.results.figures.scaling import short, students
from w2s_sweep.results.figures.style import (
    INK,
    MARKERS,
    MODELS,
    PGR_RANGE,
    QUIET,
    clamp,
    grid,
    legend_below,
    make_panels,
    most_panels,
    robust_range,
    use_style,
    wrap,
)
from w2s_sweep.results.records import Group
from w2s_sweep.results.tables.lines import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 9
"""Panels; further settings are in the tables."""
MOST_LINES = 4
"""With more pairs of models than this, lines of their medians would cover the points."""


@dataclass(frozen=True)
class Point:
    """One task under one setting and pair of models, over its seeds."""

    task: str
    weak: str
    strong: str
    variant: str
    gap: float
    """Ceiling minus weak supervisor."""
    pgr: float | None
    """None where it is not identified."""

    @property
    def pair(self) -> str:
        return f"{self.weak} → {self.strong}"


def task_points(results: Results) -> list[Point]:
    """A point for every group with a finished cell whose metric is defined."""
    found: list[Point] = []
    for g in results.groups:
        if g.gap.value is not None:
            found.append(Point(g.dataset, g.weak_model, g.strong_model, results.variant(g), g.gap.value, g.pgr.value))
    return found


@use_style
def draw_tasks(results: Results) -> "Figure":
    """A panel per setting; colour is the supervisor, marker the strong model; a level line is a pair's median."""
    every, points = finished_variants(results), task_points(results)
    variants = every[: most_panels(len(every), MOST)]
    looks, pairs = _looks(results), {p.pair for p in points}
    lines = len(pairs) <= MOST_LINES
    metric, tasks = results.rows[0].metric, len({p.task for p in points})
    unknown = sum(p.pgr is None for p in points)
    note = f"a point is one of {tasks} tasks (over its seeds)" + "; level line: median over tasks" * lines
    note += f"; crosses at the bottom: PGR not identified ({unknown})" if unknown else ""
    note += _note_left(len(every) - len(variants))
    columns, size = grid(len(variants), 2.7)
    title = f"PGR of each task against the gap in test {metric} it is a share of"
    figure, axes = make_panels(
        len(variants),
        columns,
        size,
        title,
        f"{note}; {facts(results, interval=False, pgr=False)}",
        sharex=True,
        sharey=True,
    )
    limits = robust_range([p.pgr for p in points if p.pgr is not None], (-0.05, 1.05), PGR_RANGE)
    for place, (axis, variant) in enumerate(zip(axes, variants, strict=False)):
        mine = (p for p in points if p.variant == variant)
        draw_dots(axis, (_dot(p, looks[p.weak, p.strong], limits) for p in mine), 4.5)
        for m in results.medians:
            if lines and results.variant(m) == variant and m.pgr.value is not None and m.pair in pairs:
                y, _ = clamp(m.pgr.value, limits)
                axis.axhline(y, color=looks[m.weak_model, m.strong_model][0], lw=1.2, zorder=2)
        for y in (0, 1):
            axis.axhline(y, color=QUIET, lw=1, ls=(0, (4, 3)), zorder=1)
        axis.set_title(wrap(variant, title_letters(size[0])), loc="left")
        axis.tick_params(length=0)
        if place % columns == 0:
            axis.set_ylabel("PGR")
        if place + columns >= len(variants):
            axis.set_xlabel(f"ceiling − weak ({metric})")
            axis.tick_params(axis="x", labelbottom=True)
    axes[0].set_ylim(limits)
    axes[0].locator_params(axis="x", nbins=5)
    _legend(figure, axes[0], results)
    return figure


def _looks(results: Results) -> dict[tuple[str, str], tuple[str, str]]:
    """(supervisor, strong model) -> the colour of the one, as in every figure, and the marker of the other."""
    colors = {name: look_of(i, MODELS)[0] for i, (_, name) in enumerate(supervisors(results))}
    markers = {name: MARKERS[i % len(MARKERS)] for i, (_, name) in enumerate(students(results))}
    return {(weak, strong): (color, marker) for weak, color in colors.items() for strong, marker in markers.items()}


def _dot(p: Point, look: tuple[str, str], limits: Sequence[float]) -> Dot:
    color, marker = look
    about = f"{p.task}, {p.pair}, {p.variant}: gap {number(p.gap)}, PGR {number(p.pgr, 2)}"
    if p.pgr is None:
        return Dot(p.gap, limits[0], "x", color, about)
    y, beyond = clamp(p.pgr, limits)
    return Dot(p.gap, y, beyond or marker, color, about)


def _legend(figure: Any, axis: Any, results: Results) -> None:
    """Colours of supervisors and markers of strong models; none is needed for one pair."""
    weak, strong = supervisors(results), students(results)
    if len(weak) * len(strong) < 2:
        return
    handles = [axis.plot([], [], color=look_of(i, MODELS)[0], lw=3)[0] for i in range(len(weak))]
    handles += [axis.plot([], [], MARKERS[i % len(MARKERS)], color=QUIET, ms=4.5)[0] for i in range(len(strong))]
    labels = [f"supervisor {name} ({short(params)})" for params, name in weak]
    legend_below(figure, handles, labels + [f"strong {name} ({short(params)})" for params, name in strong])


def _note_left(count: int) -> str:
    return f"; {count} more settings are in the tables" if count else ""


MOST_SETTINGS = 16
"""Of the gain; with more of them the legend cannot be read."""
MANY = 100
"""Points; more of them are drawn smaller."""


def gain_points(results: Results) -> list[tuple[Group, float, float]]:
    """(group, misfit, gain in Brier score) of every group that has both."""
    measured = (g for g in results.groups if "misfit" in g.details)
    pairs = ((g, g.details["misfit"].value, g.details["gain/brier"].value) for g in measured)
    return [(g, misfit, gain) for g, misfit, gain in pairs if misfit is not None and gain is not None]


@use_style
def draw_gain(results: Results) -> "Figure":
    """Does the misfit, which needs no ground truth, predict the gain? On the line it does (arXiv 2405.15116)."""
    every, looks = gain_points(results), looks_of(results)
    variants, left_out = choose_settings(results, {results.variant(g) for g, *_ in every}, MOST_SETTINGS, "gain.csv")
    points = [(g, misfit, gain) for g, misfit, gain in every if results.variant(g) in variants]
    title = "Gain of the student over its supervisor against their misfit"
    note = (
        "both in units of the Brier score; on the line the gain is the misfit, as theory expects of students that can "
    )
    note += "express the truth (arXiv 2405.15116); a point is a mean over seeds; "
    note += facts(results, interval=False, pgr=False) + left_out
    figure, axes = make_panels(1, *grid(1, 3.4), title, note)
    axis = axes[0]
    dots: list[Dot] = []
    for g, misfit, gain in points:
        color, marker = looks[results.variant(g)]
        about = f"{g.dataset}, {g.pair}, {results.variant(g)}: misfit {number(misfit)}, gain {number(gain)}"
        dots.append(Dot(misfit, gain, marker, color, about))
    draw_dots(axis, dots, 5 if len(points) <= MANY else 3.2, alpha=0.9)
    end = max([0.01, *(max(misfit, gain) for _, misfit, gain in points)])
    axis.plot([0, end], [0, end], color=INK, lw=1, zorder=1)
    axis.axhline(0, color=QUIET, lw=1, ls=(0, (4, 3)), zorder=1)
    axis.set_xlabel(
        wrap("misfit (mean squared disagreement of student and supervisor)", title_letters(current().width or 6.4))
    )
    axis.set_ylabel("gain in Brier score")
    axis.tick_params(length=0)
    handles = [axis.plot([], [], m, color=c, ms=5, mew=0)[0] for c, m in (looks[name] for name in variants)]
    legend_below(figure, handles, variants)
    return figure
