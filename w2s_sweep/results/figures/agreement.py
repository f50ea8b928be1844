"""What students take over from their supervisors: how often they agree with one that is right, and with one that is
wrong. A student that imitates agrees with both; one that generalizes keeps the first and drops the second."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from w2s_sweep.metrics import Interval
from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures.facets import SHARES, Facets, facets
from w2s_sweep.results.figures.layout import color_of, ends, layout, name_rows
from w2s_sweep.results.figures.style import QUIET, add_tip, legend_below, make_panels, robust_range, use_style, whisker
from w2s_sweep.results.records import NONE, Group
from w2s_sweep.results.tables.lines import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RIGHT, WRONG = SHARES


def has_agreement(g: Group) -> bool:
    return any(g.details.get(name, NONE).value is not None for name in SHARES)


@use_style
def draw_agreement(results: Results) -> "Figure":
    """A panel per pair of models, a row per setting: filled where the supervisor is right, hollow where it is wrong."""
    shown = facets(results, pgr=False)
    columns, size = layout(shown, len(shown.variants))
    title = "Share of test examples on which the student predicts its supervisor's class"
    note = f"filled: where the supervisor is right; hollow: where it is wrong, errors that are repeated; {shown.note}"
    figure, axes = make_panels(len(shown.panels), columns, size, title, note, sharex=True, sharey=True)
    for axis, panel in zip(axes, shown.panels, strict=False):
        for g in panel.groups:
            _draw_row(axis, g, shown, results.variant(g))
    known = [
        end for panel in shown.panels for g in panel.groups for _, *pair in shares([g]) for v in pair for end in ends(v)
    ]
    axes[0].set_xlim(robust_range(known, (0.5, 1.0), (0.0, 1.0)))
    name_rows(axes, shown, columns, size[0], shown.variants, "share of examples")
    handles = [axes[0].plot([], [], "o", color=QUIET, mfc=fill, ms=5)[0] for fill in (QUIET, "none")]
    legend_below(figure, handles, ["supervisor right", "supervisor wrong"])
    return figure


def _draw_row(axis: Any, g: Group, shown: Facets, variant: str) -> None:
    at, color = shown.variants.index(variant), color_of(shown, variant)
    values = [g.details.get(name, NONE) for name in (WRONG, RIGHT)]
    known = [value.value for value in values if value.value is not None]
    axis.plot(known, [at] * len(known), color=color, lw=1, alpha=0.45, zorder=2)
    for value, aside, fill, where in zip(values, (0.2, -0.2), ("white", color), ("wrong", "right"), strict=True):
        if value.value is None:
            continue
        whisker(axis, value, at + aside, color, width=1.2)
        drawn = axis.plot(value.value, at, "o", color=color, mfc=fill, ms=5, zorder=5)
        add_tip(drawn, f"{_about(g)}, {variant}: agrees where {where} {number(value.value)}")


def _about(g: Group) -> str:
    return ", ".join(name for name in (g.dataset, g.pair) if name)


def shares(groups: Sequence[Group]) -> list[tuple[Group, Interval, Interval]]:
    """(group, agreement where the supervisor is right, where it is wrong)."""
    return [(g, g.details.get(RIGHT, NONE), g.details.get(WRONG, NONE)) for g in groups]
