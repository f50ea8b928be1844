"""Heat map of the PGR: supervisors down, strong models across, a panel per setting; several tasks are their median."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures.facets import all_variants, facts, supervisors
from w2s_sweep.results.figures.layout import title_letters
from w2s_sweep.results.figures.look import current
from w2s_sweep.results.figures.scaling import students
from w2s_sweep.results.figures.style import INK, QUIET, add_tip, letters_in, make_panels, use_style, wrap
from w2s_sweep.results.records import Group
from w2s_sweep.results.tables.lines import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 9
"""Panels; further settings are in the tables."""
KEY = 2.4
"""Inches of the key's colours, at most."""
LOW, HIGH = "#F3EFF6", "#3B1053"
"""Of PGR 0 and below, of 1 and above."""
MIDDLE = "#A1557F"
ON_PALE, ON_DARK = "#111214", "#fefefe"
"""Text in cells: no ink or white of other figures, which follow the page's colours in the report."""

Cells = dict[tuple[str, str], list[Group]]
"""(supervisor, strong model) -> the groups of its tasks."""


def heat_cells(results: Results, variant: str) -> Cells:
    """The groups with a finished cell of a setting."""
    found: Cells = {}
    for g in results.groups:
        if g.seeds and results.variant(g) == variant:
            found.setdefault((g.weak_model, g.strong_model), []).append(g)
    return found


def heat_value(groups: list[Group]) -> float | None:
    """The PGR of a cell: that of its task, or the median of those tasks that have one."""
    known = [g.pgr.value for g in groups if g.pgr.value is not None]
    return median(known) if known else None


@use_style
def draw_heat(results: Results) -> "Figure":
    """A cell is a pair of models; hatched where no PGR is identified, empty where there is no such pair."""
    weak, strong = supervisors(results), students(results)
    order = [variant for variant in all_variants(results) if heat_cells(results, variant)]
    columns, size = _size(len(order), len(weak), len(strong))
    variants = order[: min(MOST, current().most_panels(columns, size[1] / current().tall))]
    columns, size = _size(len(variants), len(weak), len(strong))
    tasks = len({g.dataset for g in results.groups if g.seeds})
    title = "Performance gap recovered by supervisor and strong model"
    note = f"{'median PGR over ' + str(tasks) + ' tasks' if tasks > 1 else 'PGR'}; hatched, none: PGR not identified; "
    note += "empty: no such pair of models; " + facts(results, interval=False)
    note += f"; {len(order) - len(variants)} more settings are in the tables" if len(order) > len(variants) else ""
    figure, axes = make_panels(len(variants), columns, size, title, note, sharex=True, sharey=True)
    # A single column: what stands left and right of its panels has no other one's room.
    room = letters_in(size[0] - _beside([name for _, name in weak])) if columns == 1 else title_letters(size[0])
    for place, (axis, variant) in enumerate(zip(axes, variants, strict=False)):
        for (one, other), groups in heat_cells(results, variant).items():
            at = [name for _, name in strong].index(other), [name for _, name in weak].index(one)
            _draw_cell(axis, at, heat_value(groups), f"{variant}, {groups[0].pair}", len(groups))
        axis.set_title(wrap(variant, room), loc="left")
        axis.grid(visible=False)
        axis.tick_params(length=0)
        if place + columns >= len(variants):
            axis.tick_params(axis="x", labelbottom=True, labelrotation=30)
            axis.set_xlabel("strong model")
        if place % columns == 0:
            axis.set_ylabel("supervisor")
    axes[0].set_xticks(range(len(strong)), [wrap(name, 18) for _, name in strong])
    for axis in axes:
        for label in axis.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes[0].set_yticks(range(len(weak)), [wrap(name, 18) for _, name in weak])
    axes[0].set_xlim(-0.52, len(strong) - 0.48)
    axes[0].set_ylim(len(weak) - 0.48, -0.52)
    _draw_key(figure, axes[: len(variants)], min(0.7, KEY / (size[1] * -(-len(variants) // columns))))
    return figure


def _beside(names: Sequence[str]) -> float:
    """Inches of the names of rows, their axis' label and the key of colours."""
    longest = max(len(line) for name in names for line in wrap(name, 18).split("\n"))
    return current().scale(1.0) + longest * 0.56 * current().scale(8) / 72


def _size(count: int, down: int, across: int) -> tuple[int, tuple[float, float]]:
    columns = 1 if count == 1 else 2 if count in (2, 4) or across > 6 else 3
    return current().fit(columns, (max(2.4, min(7.2, 0.62 * across + 1.2)), 1.25 + 0.36 * down))


def _draw_cell(axis: Any, at: tuple[int, int], value: float | None, about: str, tasks: int) -> None:
    from matplotlib.patches import Rectangle

    corner = at[0] - 0.48, at[1] - 0.48
    look: dict[str, Any] = {"facecolor": "none", "edgecolor": QUIET, "hatch": "////", "lw": 0.0}
    if value is not None:
        look = {"facecolor": color_of_pgr(value), "lw": 0.0}
    said = f"{about}: PGR {number(value, 2)}" if value is not None else f"{about}: PGR not identified"
    add_tip([axis.add_patch(Rectangle(corner, 0.96, 0.96, **look))], said + f" ({tasks} tasks)" * (tasks > 1))
    text = "none" if value is None else number(value, 2)
    ink = INK if value is None else readable_on(color_of_pgr(value))
    back = {"facecolor": "white", "lw": 0, "pad": 1.2} if value is None else None
    axis.text(*at, text, ha="center", va="center", size=current().scale(8), color=ink, bbox=back)


def readable_on(color: str) -> str:
    """Dark or white, whichever has more contrast to a colour (WCAG 2)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return ON_DARK if 1.05 / (light + 0.05) > (light + 0.05) / 0.056 else ON_PALE


def color_of_pgr(value: float) -> str:
    """From pale at 0 to dark at 1, whatever the PGRs of this sweep: colours of two figures can be compared."""
    from matplotlib.colors import to_hex

    return to_hex(_map()(min(max(value, 0.0), 1.0)))


def _map() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("pgr", [LOW, MIDDLE, HIGH], N=32)


def _draw_key(figure: Any, axes: list[Any], share: float) -> None:
    """`share`: of the height of all panels."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), _map()), ax=axes, shrink=share, aspect=22, pad=0.02, extend="both"
    )
    bar.solids.set(rasterized=False, edgecolor="face")
    bar.set_label("PGR")
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
