"""The released notebook's plot: the student's metric against that of the strong model trained on ground truth."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from w2s_sweep.results.figures.facets import MOST_PANELS, facets, facts
from w2s_sweep.results.figures.scaling import short
from w2s_sweep.results.figures.style import INK, MARKERS, MODELS, QUIET, add_tip, make_panels, use_style, wrap
from w2s_sweep.results.records import Group, Results
from w2s_sweep.results.tables.lines import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 6
"""Settings that a style is left for; further ones are in the tables."""
LINES = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))


@use_style
def draw_strength(results: Results) -> "Figure":
    """A panel per task; hue is the supervisor, style the loss; the ink line is the strong model on ground truth."""
    shown = facets(results)
    variants = shown.variants[:MOST]
    tasks = list(dict.fromkeys(g.dataset for g in results.groups if g.seeds))
    drawn = tasks[:MOST_PANELS]
    weak_models = sorted({(g.weak_params, g.weak_model) for g in results.groups if g.seeds})
    columns = {1: 1, 2: 2, 4: 2}.get(len(drawn), 3)
    metric = results.rows[0].metric
    note = f"colour: supervisor, dotted level: its own {metric}; style: loss; "
    note += _medians(results) + facts(results, interval=False)
    note += "".join(
        f"; {left} more {what} are in the tables"
        for left, what in ((len(tasks) - len(drawn), "tasks"), (len(shown.variants) - len(variants), "settings"))
        if left
    )
    title = f"Test {metric} of the student against the {metric} of the strong model on ground truth"
    size = ({1: 6.4, 2: 4.4, 3: 3.3}[columns], 2.6)
    figure, axes = make_panels(len(drawn), columns, size, title, note)
    for place, (axis, task) in enumerate(zip(axes, drawn, strict=False)):
        for index, (_, weak) in enumerate(weak_models):
            for style, variant in enumerate(variants):
                mine = [g for g in results.groups if (g.dataset, g.weak_model) == (task, weak)]
                _series(axis, [g for g in mine if results.variant(g) == variant], index, style, variant)
        low, high = axis.get_xlim()
        axis.plot([low, high], [low, high], color=INK, lw=1, zorder=1)
        axis.set_title(wrap(task, 40), loc="left")
        axis.tick_params(length=0)
        axis.locator_params(axis="x", nbins=4)
        if place % columns == 0:
            axis.set_ylabel(f"test {metric}")
        if place + columns >= len(drawn):
            axis.set_xlabel(f"{metric} of the strong model")
    _legend(figure, axes[0], weak_models, variants)
    return figure


def _series(axis: Any, groups: Sequence[Group], index: int, style: int, variant: str) -> None:
    """One supervisor and one setting, by rising metric of the strong model."""
    color, marker = MODELS[index % len(MODELS)], MARKERS[style % len(MARKERS)]
    points: list[tuple[float, float]] = []
    for g in groups:
        if g.ceiling.value is not None and g.student.value is not None:
            about = f"{g.pair}, {variant}: strong {number(g.ceiling.value)}, student {number(g.student.value)}"
            at = (g.ceiling.value, g.student.value)
            add_tip(axis.plot(*at, marker, color=color, ms=4, mew=0, zorder=4), about)
            points.append(at)
    points.sort()
    axis.plot([x for x, _ in points], [y for _, y in points], color=color, ls=LINES[style], lw=1.2, zorder=3)
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


def _legend(figure: Any, axis: Any, weak_models: Sequence[tuple[int, str]], variants: Sequence[str]) -> None:
    handles = [axis.plot([], [], color=MODELS[i % len(MODELS)], lw=2)[0] for i in range(len(weak_models))]
    handles += [
        axis.plot([], [], color=QUIET, ls=LINES[i], marker=MARKERS[i % len(MARKERS)], ms=4, lw=1.2)[0]
        for i in range(len(variants))
    ]
    handles += axis.plot([], [], color=INK, lw=1)
    labels = [f"supervisor {name} ({short(params)})" for params, name in weak_models]
    figure.legend(handles, [*labels, *variants, "strong model, ground truth"], loc="outside lower left", ncols=3)
