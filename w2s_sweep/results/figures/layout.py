"""What the figures with a row per setting share: sizes of panels, the look of a setting, names of rows and axes."""

from collections.abc import Sequence
from typing import Any

from w2s_sweep.metrics import Interval
from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures.facets import Facets, all_variants
from w2s_sweep.results.figures.look import current
from w2s_sweep.results.figures.style import MARKERS, PALETTE, PGR_RANGE, clamp, letters_in, robust_range, wrap


def look_of(place: int, colors: Sequence[str] = PALETTE) -> tuple[str, str]:
    """Colour and marker of the setting or model with this place: after all colours come other markers of them."""
    return colors[place % len(colors)], MARKERS[(place + place // len(colors)) % len(MARKERS)]


def looks_of(results: Results) -> dict[str, tuple[str, str]]:
    """Setting -> its colour and marker: by its place among all of the sweep, whatever a figure shows of them."""
    return {variant: look_of(place) for place, variant in enumerate(all_variants(results))}


def color_of(shown: Facets, variant: str) -> str:
    return look_of(shown.place(variant))[0]


def marker_of(shown: Facets, variant: str) -> str:
    return look_of(shown.place(variant))[1]


SEVERAL_ROWS = 3
"""With two strong models and more supervisors than this, two supervisors are beside each other: a figure that is twice
as tall as wide is seen on no screen."""


WIDTHS = {1: 7.2, 2: 4.4, 3: 3.3, 4: 2.8}
"""Columns of panels -> inches of one in the report."""


def columns_of(count: int, strong: int) -> int:
    """How many of the panels, each a pair of models, are beside each other: those of one supervisor where they fit."""
    even = strong in (2, 3, 4) and count % strong == 0
    pairs = strong * (2 if strong == 2 and count > SEVERAL_ROWS * strong else 1)
    return 1 if count == 1 else pairs if even else 2 if count in (2, 4) else 3


def pgr_limits(points: Sequence[float], intervals: Sequence[float]) -> list[float]:
    """Limits of a PGR axis: all points, and of intervals what lies within half a gap of them, 0 and 1."""
    low, high = min([0.0, *points]) - 0.5, max([1.0, *points]) + 0.5
    return robust_range([*points, *intervals], (-0.1, 1.1), (max(PGR_RANGE[0], low), min(PGR_RANGE[1], high)))


def layout(shown: Facets, rows: int) -> tuple[int, tuple[float, float]]:
    """Columns of panels and inches of a panel with so many rows of data."""
    columns = columns_of(len(shown.panels), len({g.strong_model for panel in shown.panels for g in panel.groups}))
    columns, size = current().fit(columns, (WIDTHS[columns], 0.5 + _row_height(shown) * rows))
    room = _title_room(shown, columns, size[0])
    titles = max(wrap(panel.title, room).count("\n") for panel in shown.panels)
    return columns, (size[0], size[1] + current().scale(0.14) * titles)


def _row_height(shown: Facets) -> float:
    """Inches; names of two lines need more."""
    return 0.32 if any("\n" in wrap(variant) for variant in shown.variants) else 0.26


def _title_room(shown: Facets, columns: int, width: float) -> int:
    """Characters of a title that fit above a panel beside the names of rows, which are left of the first one."""
    longest = max(len(line) for variant in shown.variants for line in wrap(variant).split("\n"))
    return letters_in(width - (0.3 + longest * 0.56 * current().scale(8) / 72) / columns)


def title_letters(width: float) -> int:
    """Characters of a panel's title that fit above a panel so wide, beside what stands left of it."""
    return letters_in(0.82 * width)


def name_rows(
    axes: Sequence[Any], shown: Facets, columns: int, width: float, labels: Sequence[str], across: str
) -> None:
    """Name the rows on the left and the x axis under the last panel of every column."""
    count, room = len(shown.panels), _title_room(shown, columns, width)
    for place, (axis, panel) in enumerate(zip(axes, shown.panels, strict=False)):
        axis.set_title(wrap(panel.title, room), loc="left")
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="both", length=0)
        if place + columns >= count:
            axis.set_xlabel(across, **({"x": 1, "ha": "right"} if columns == 1 else {}))  # under the names too
            axis.tick_params(axis="x", labelbottom=True)
    axes[0].locator_params(axis="x", nbins=max(3, min(7, int(1.25 * width))))
    axes[0].set_yticks(range(len(labels)), [wrap(label) for label in labels])
    axes[0].set_ylim(len(labels) - 0.4, -0.6)


def arrow_note(ends: Sequence[float], limits: Sequence[float]) -> str:
    """What the note says of arrows, where there are any."""
    return "; arrows: beyond the axis" if any(clamp(end, limits)[1] for end in ends) else ""


def ends(estimate: Interval) -> list[float]:
    """An estimate and the ends of its interval, as far as they are known."""
    return [value for value in (estimate.value, estimate.low, estimate.high) if value is not None]
