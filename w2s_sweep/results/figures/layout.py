"""What the figures with a row per setting share: sizes of panels, the look of a setting, names of rows and axes."""

from collections.abc import Sequence
from typing import Any

from w2s_sweep.metrics import Interval
from w2s_sweep.results.figures.facets import Facets
from w2s_sweep.results.figures.style import MARKERS, PALETTE, clamp, wrap


def color_of(shown: Facets, variant: str) -> str:
    return PALETTE[shown.variants.index(variant) % len(PALETTE)]


def marker_of(shown: Facets, variant: str) -> str:
    return MARKERS[shown.variants.index(variant) % len(MARKERS)]


def layout(shown: Facets, rows: int) -> tuple[int, tuple[float, float]]:
    """Columns of panels and inches of a panel with so many rows of data."""
    count = len(shown.panels)
    strong = len({g.strong_model for panel in shown.panels for g in panel.groups})
    even = strong in (2, 3, 4) and count % strong == 0
    columns = 1 if count == 1 else strong if even else 2 if count in (2, 4) else 3
    titles = max(wrap(panel.title, _title_width(columns)).count("\n") for panel in shown.panels)
    return columns, ({1: 7.2, 2: 4.4, 3: 3.3, 4: 2.8}[columns], 0.5 + 0.26 * rows + 0.14 * titles)


def _title_width(columns: int) -> int:
    """Characters of a panel's title that fit into a line."""
    return {1: 80, 2: 48, 3: 36, 4: 28}[columns]


def name_rows(axes: Sequence[Any], shown: Facets, columns: int, labels: Sequence[str], across: str) -> None:
    """Name the rows on the left and the x axis under the last panel of every column."""
    count = len(shown.panels)
    for place, (axis, panel) in enumerate(zip(axes, shown.panels, strict=False)):
        axis.set_title(wrap(panel.title, _title_width(columns)), loc="left")
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="both", length=0)
        if place + columns >= count:
            axis.set_xlabel(across)
            axis.tick_params(axis="x", labelbottom=True)
    axes[0].locator_params(axis="x", nbins=7 if columns == 1 else 5)
    axes[0].set_yticks(range(len(labels)), [wrap(label) for label in labels])
    axes[0].set_ylim(len(labels) - 0.4, -0.6)


def arrow_note(ends: Sequence[float], limits: Sequence[float]) -> str:
    """What the note says of arrows, where there are any."""
    return "; arrows: beyond the axis" if any(clamp(end, limits)[1] for end in ends) else ""


def ends(estimate: Interval) -> list[float]:
    """An estimate and the ends of its interval, as far as they are known."""
    return [value for value in (estimate.value, estimate.low, estimate.high) if value is not None]
