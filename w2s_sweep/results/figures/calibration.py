"""Reliability diagrams: how often predictions of some confidence are right; on the diagonal it can be trusted."""

from collections.abc import Collection, Iterable, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures.facets import MOST_LINES, choose_settings, facts
from w2s_sweep.results.figures.layout import WIDTHS, columns_of, looks_of, title_letters
from w2s_sweep.results.figures.look import current
from w2s_sweep.results.figures.style import INK, QUIET, add_tip, legend_below, make_panels, use_style, wrap
from w2s_sweep.results.records import Reliability
from w2s_sweep.results.tables.lines import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 12
"""Panels; with more pairs of models a panel is a strong model, with all of its supervisors."""
LEAST = 0.01
"""A bin with a smaller share of the examples is left out: its point would be noise."""
WEAK, CEILING = "weak supervisor", "ceiling"
Panels = dict[str, dict[str, Reliability]]
"""Title -> line -> its examples."""


def reliabilities(results: Results) -> Panels:
    """Title of a panel -> line (weak supervisor, a setting's students, ceiling) -> its examples, of tasks and seeds."""
    groups = [g for g in results.groups if results.reliability.get(g.group)]
    merged = len({g.pair for g in groups}) > MOST
    found: dict[str, dict[str, dict[str, Reliability]]] = {}
    for g in groups:
        lines = found.setdefault(f"strong model {g.strong_model}" if merged else g.pair, {})
        for role, counted in results.reliability[g.group].items():
            name = {"weak": WEAK, "ceiling": CEILING}.get(role, results.variant(g))
            # A supervisor is that of every setting: it is one line, with its examples once.
            stage = (
                g.group if role == "student" else f"{g.dataset} {g.weak_model if role == 'weak' else ''} {g.finetune}"
            )
            lines.setdefault(name, {})[stage] = counted
    return {
        title: {name: reduce(add, stages.values()) for name, stages in lines.items()} for title, lines in found.items()
    }


def bins_of(counted: Reliability) -> list[tuple[float, float, int]]:
    """(mean confidence, share that is right, examples) of every bin that holds enough."""
    least = LEAST * sum(counted.examples)
    rows = zip(counted.confidence, counted.right, counted.examples, strict=True)
    return [(sure / n, right / n, n) for sure, right, n in rows if n and n >= least]


@use_style
def draw_calibration(results: Results) -> "Figure":
    """A panel per pair of models, a line per role and setting."""
    panels = reliabilities(results)
    drawable = {name for lines in panels.values() for name in lines}
    variants, left_out = choose_settings(results, drawable, MOST_LINES, "calibration.csv")
    looks = _looks(results, variants)
    shown = dict(list(_choose_lines(panels, variants, looks).items())[: min(MOST, current().most_panels(4))])
    columns = columns_of(len(shown), len({g.strong_model for g in results.groups if results.reliability.get(g.group)}))
    columns, size = current().fit(columns, (WIDTHS[columns], 2.9 if columns < 4 else 2.6), len(shown))
    left = len(panels) - len(shown)
    tasks = len({g.dataset for g in results.groups if g.seeds})
    note = (
        "15 bins of the probability of the most likely class; above the diagonal more are right than confidence says; "
    )
    note += f"{tasks} tasks together; " if tasks > 1 else ""
    note += facts(results, interval=False, pgr=False) + (f"; {left} more panels are not drawn" if left else "")
    note += left_out
    figure, axes = make_panels(
        len(shown), columns, size, "Calibration: accuracy by confidence", note, sharex=True, sharey=True
    )
    for place, (axis, (title, lines)) in enumerate(zip(axes, shown.items(), strict=False)):
        axis.plot([0, 1], [0, 1], color=QUIET, lw=1, ls=":", zorder=1)
        for name, counted in lines.items():
            _draw_line(axis, counted, looks[name], f"{title}, {name}")
        axis.set_title(wrap(title, title_letters(size[0])), loc="left")
        axis.tick_params(length=0)
        if place % columns == 0:
            axis.set_ylabel("accuracy")
        if place + columns >= len(shown):
            axis.set_xlabel("confidence")
            axis.tick_params(axis="x", labelbottom=True)
    _limit(axes[0], shown)
    there = [name for name in looks if any(name in lines for lines in shown.values())]
    handles = [axes[0].plot([], [], ms=4, lw=1.3, **looks[name])[0] for name in there]
    legend_below(figure, handles, there)
    return figure


def _looks(results: Results, variants: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Line -> how it is drawn, in the legend's order."""
    every = looks_of(results)
    looks: dict[str, dict[str, Any]] = {WEAK: {"color": QUIET, "ls": (0, (4, 2)), "marker": "s"}}
    for variant in variants:
        color, marker = every[variant]
        looks[variant] = {"color": color, "marker": marker}
    return looks | {CEILING: {"color": INK, "marker": "D"}}


def _choose_lines(panels: Panels, variants: Collection[str], names: Iterable[str]) -> Panels:
    """The lines that are drawn, in the order of `names`, of panels that have one of a setting."""
    kept = {title: lines for title, lines in panels.items() if any(name in variants for name in lines)}
    kept = kept or panels  # without predictions of students
    return {title: {name: lines[name] for name in names if name in lines} for title, lines in kept.items()}


def _draw_line(axis: Any, counted: Reliability, look: dict[str, Any], about: str) -> None:
    points = bins_of(counted)
    drawn = axis.plot([x for x, _, _ in points], [y for _, y, _ in points], ms=3.4, lw=1.3, mew=0, zorder=3, **look)
    add_tip(drawn, f"{about}: expected calibration error {number(counted.error)}")


def _limit(axis: Any, shown: Panels) -> None:
    points = [point for lines in shown.values() for counted in lines.values() for point in bins_of(counted)]
    axis.set_xlim(min(x for x, _, _ in points) - 0.02, 1.01)
    axis.set_ylim(max(0, min(y for _, y, _ in points) - 0.03), 1.01)
