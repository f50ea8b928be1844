"""The released notebook's plot: the student's metric against that of the strong model trained on ground truth."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures.facets import MOST_PANELS, all_variants, facts, supervisors
from w2s_sweep.results.figures.layout import look_of, title_letters
from w2s_sweep.results.figures.points import Dot, draw_dots
from w2s_sweep.results.figures.scaling import short
from w2s_sweep.results.figures.style import (
    INK,
    MARKERS,
    MODELS,
    QUIET,
    grid,
    legend_below,
    make_panels,
    most_panels,
    use_style,
    wrap,
)
from w2s_sweep.results.records import Group
from w2s_sweep.results.tables.lines import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LINES = 9
"""With more lines in a panel, every setting has one of its own, in which tasks are points without lines."""
LINES = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (8, 3)))


@use_style
def draw_strength(results: Results) -> "Figure":
    """Hue is the supervisor; the ink line is the strong model on ground truth. A panel per task, in which style is the
    setting; with many settings a panel per setting, with all tasks."""
    groups = strength_groups(results)
    by_task = shows_tasks(results)
    titles = list(dict.fromkeys(g.dataset if by_task else results.variant(g) for g in groups))
    drawn = titles[: most_panels(len(titles), MOST_PANELS)]
    columns, size = grid(len(drawn), 2.6)
    metric = results.rows[0].metric
    title = f"Test {metric} of the student against the {metric} of the strong model on ground truth"
    note = _note(results, by_task, len(titles) - len(drawn))
    shared = {} if by_task else {"sharex": True, "sharey": True}
    figure, axes = make_panels(len(drawn), columns, size, title, note, **shared)
    variants, weak_models = all_variants(results), supervisors(results)
    there = {results.variant(g) for g in groups}
    for place, (axis, name) in enumerate(zip(axes, drawn, strict=False)):
        for index, (_, weak) in enumerate(weak_models):
            mine = [g for g in groups if g.weak_model == weak and name in (g.dataset, results.variant(g))]
            for style, variant in enumerate(variants):
                series = [g for g in mine if results.variant(g) == variant]
                _series(axis, series, index, style if by_task else -1, variant)
        if by_task:
            _diagonal(axis, axis.get_xlim())
        axis.set_title(wrap(name, title_letters(size[0])), loc="left")
        axis.tick_params(length=0)
        axis.locator_params(axis="x", nbins=4)
        if place % columns == 0:
            axis.set_ylabel(f"test {metric}")
        if place + columns >= len(drawn):
            axis.set_xlabel(f"{metric} of the strong model")
            axis.tick_params(axis="x", labelbottom=True)
    if not by_task:
        whole = axes[0].get_xlim()
        for axis in axes[: len(drawn)]:
            _diagonal(axis, whole)
    supervising = {one: place for place, one in enumerate(weak_models) if one[1] in {g.weak_model for g in groups}}
    settings = {name: style for style, name in enumerate(variants) if name in there} if by_task else {}
    _legend(figure, axes[0], supervising, settings)
    return figure


def strength_groups(results: Results) -> list[Group]:
    """The groups that are points."""
    return [g for g in results.groups if g.ceiling.value is not None and g.student.value is not None]


def shows_tasks(results: Results) -> bool:
    """Whether a panel is a task; else it is a setting."""
    variants = all_variants(results)
    return len(variants) == 1 or len(variants) * len(supervisors(results)) <= MOST_LINES


def _note(results: Results, by_task: bool, left: int) -> str:
    own = f"dotted level: its own {results.rows[0].metric}; style: loss; "
    note = "colour: supervisor; " + (own if by_task else "a point is a task and a strong model; ")
    note += _medians(results) + facts(results, interval=False, pgr=False)
    return note + (f"; {left} more panels are in the tables" if left else "")


def _diagonal(axis: Any, across: Sequence[float]) -> None:
    """Where the student is as good as the strong model on ground truth."""
    axis.plot(across, across, color=INK, lw=1, zorder=1)


def _series(axis: Any, groups: Sequence[Group], index: int, style: int, variant: str) -> None:
    """One supervisor and one setting, by rising metric of the strong model; points alone where `style` is negative."""
    color, own = look_of(index, MODELS)
    marker = MARKERS[style % len(MARKERS)] if style >= 0 else own
    dots: list[Dot] = []
    for g in groups:
        assert g.ceiling.value is not None
        assert g.student.value is not None
        about = f"{g.dataset}, {g.pair}, {variant}: strong {number(g.ceiling.value)}, student {number(g.student.value)}"
        dots.append(Dot(g.ceiling.value, g.student.value, marker, color, about))
    draw_dots(axis, dots, 4)
    if style < 0:
        return
    points = sorted((dot.x, dot.y) for dot in dots)
    line = LINES[style % len(LINES)]
    axis.plot([x for x, _ in points], [y for _, y in points], color=color, ls=line, lw=1.2, zorder=3)
    known = [g.weak.value for g in groups if g.weak.value is not None]
    if known:
        axis.axhline(known[0], color=color, lw=0.9, ls=":", zorder=1)


def _medians(results: Results) -> str:
    """`median PGR: xent .25, confidence .48; ` over all tasks and pairs, as the notebook's titles say it."""
    values: dict[str, list[float]] = {}
    for g in results.groups:
        if g.pgr.value is not None:
            values.setdefault(results.variant(g), []).append(g.pgr.value)
    said = [f"{name} {number(median(found), 2)}" for name, found in values.items()]
    return f"median PGR: {', '.join(said)}; " if said else ""


def _legend(figure: Any, axis: Any, weak: Mapping[tuple[int, str], int], variants: Mapping[str, int]) -> None:
    """Of supervisors and settings that are drawn; a number is the place among all, which decides how each looks."""
    looks = [look_of(place, MODELS) for place in weak.values()]
    if variants:
        handles = [axis.plot([], [], color=color, lw=2)[0] for color, _ in looks]
    else:
        handles = [axis.plot([], [], marker, color=color, ms=4, mew=0)[0] for color, marker in looks]
    handles += [
        axis.plot([], [], color=QUIET, ls=LINES[i % len(LINES)], marker=MARKERS[i % len(MARKERS)], ms=4, lw=1.2)[0]
        for i in variants.values()
    ]
    handles += axis.plot([], [], color=INK, lw=1)
    labels = [f"supervisor {name} ({short(params)})" for params, name in weak]
    legend_below(figure, handles, [*labels, *variants, "strong model, ground truth"])
