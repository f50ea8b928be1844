"""The style of all figures: colours that colour-blind readers can tell apart, panels, intervals, files."""

import io
import textwrap
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from w2s_sweep.errors import W2SError
from w2s_sweep.metrics import Interval
from w2s_sweep.results.records import Results
from w2s_sweep.store.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#332288")
"""Of settings (losses, methods): Okabe and Ito's colours without yellow and black, and two of Paul Tol's."""
MODELS = ("#4C1D95", "#932667", "#DD513A", "#F5A623")
"""Of models, from dark to light as they grow: a colour is never a loss here and a supervisor there."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK = "#1c1e21"
"""Text, axes, ceiling. In inline SVG it is replaced by the page's text colour."""
QUIET = "#767b84"
"""Grid, weak supervisor, notes: readable on white and on a dark page."""

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": QUIET,
    "grid.alpha": 0.22,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "text.parse_math": False,  # labels are names: "$$" in one would be a formula that cannot be read
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "none",
    "svg.hashsalt": "w2s",
    "path.simplify": True,
}


LINE = 0.18
"""Inches of a line of the heading."""
PGR_RANGE = (-1.0, 2.0)
"""Largest range of a PGR axis; points beyond it are drawn as arrows at its ends."""


def _style() -> AbstractContextManager[None]:
    import matplotlib

    return cast(Any, matplotlib).rc_context(STYLE)


def use_style(draw: "Callable[[Results], Figure]") -> "Callable[[Results], Figure]":
    """Have a figure drawn in the style, whatever matplotlib is set to; W2SError where no cell is finished."""

    @wraps(draw)
    def drawing(results: Results) -> "Figure":
        if not any(g.seeds for g in results.groups):
            raise W2SError(f"{results.sweep}: no cell is finished, so there is nothing to draw.")
        with _style():
            return draw(results)

    return drawing


def make_panels(
    count: int, columns: int, size: tuple[float, float], title: str, note: str, **shared: Any
) -> "tuple[Figure, list[Any]]":
    """A figure under a title and a quieter note, with `count` axes or more of `size` inches each, and its axes."""
    from matplotlib.figure import Figure

    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    width = size[0] * columns + 0.2
    lines = textwrap.wrap(title, int(width * 10.5)), textwrap.wrap(note, int(width * 16))
    head = LINE * (len(lines[0]) + len(lines[1])) + 0.2
    figure: Any = Figure(figsize=(width, size[1] * rows + head), layout="constrained")
    height = figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - head / height))
    figure.text(0.06 / width, 1 - 0.06 / height, "\n".join(lines[0]), weight="bold", size=10.5, va="top")
    below = 1 - (0.1 + LINE * len(lines[0])) / height
    figure.text(0.06 / width, below, "\n".join(lines[1]), color=QUIET, size=8, va="top", linespacing=1.3)
    axes = figure.subplots(rows, columns, squeeze=False, **shared).ravel().tolist()
    for spare in axes[count:]:
        spare.set_visible(False)
    return figure, axes


def wrap(label: str, width: int = 27) -> str:
    """A label broken into lines: before parentheses and at spaces first, inside words where it must."""
    pieces = [label] if len(label) <= width else label.replace("(", "\n(").split("\n")
    return "\n".join(line for piece in pieces for line in textwrap.wrap(piece, width)) or label


def whisker(
    axis: Any,
    estimate: Interval,
    at: float,
    color: str,
    *,
    upright: bool = False,
    width: float = 1.4,
    limits: Sequence[float] | None = None,
) -> None:
    """The interval of an estimate, drawn along x at height `at` (along y when `upright`).

    With the `limits` of the axis an end beyond them is an arrow at the axis' end.
    """
    if estimate.low is None or estimate.high is None:
        return
    both = (estimate.low, estimate.high)
    ends = [clamp(end, limits or both, "v^" if upright else "<>") for end in both]
    line = ([end for end, _ in ends], [at, at])
    axis.plot(*(line[::-1] if upright else line), color=color, lw=width, solid_capstyle="butt", zorder=3)
    for end, arrow in ends:
        if arrow:
            spot = (at, end) if upright else (end, at)
            axis.plot(*spot, arrow, color=color, ms=2 + 1.5 * width, mew=0, clip_on=False, zorder=3)


def save(figure: "Figure", stem: Path) -> tuple[Path, Path]:
    """Write `stem`.png and `stem`.svg; returns both paths."""
    paths = stem.with_suffix(".png"), stem.with_suffix(".svg")
    with _style():
        cast(Any, figure).draw_without_rendering()
        cast(Any, figure).set_layout_engine("none")  # it would place everything anew, twice for each format
        for path, options in zip(paths, ({"dpi": 150}, {"metadata": {"Date": None}}), strict=True):
            buffer = io.BytesIO()
            cast(Any, figure).savefig(buffer, format=path.suffix[1:], facecolor="white", **options)
            write_bytes(path, buffer.getvalue())
    return paths


def robust_range(values: Sequence[float], inside: tuple[float, float], outside: tuple[float, float]) -> list[float]:
    """Axis limits that hold `inside`, and `values` as far as they lie within `outside`."""
    low = max(outside[0], min([inside[0], *values]))
    high = min(outside[1], max([inside[1], *values]))
    pad = 0.04 * (high - low)
    return [low - pad, high + pad]


TIP = "tip: "
"""How the id of an element starts that the report turns into text shown under the pointer."""


def add_tip(drawn: Sequence[Any], about: str) -> None:
    """Say what drawn elements are, for the pointer in the report."""
    for artist in drawn:
        artist.set_gid(f"{TIP}{about}")


def clamp(value: float, limits: Sequence[float], arrows: str = "v^") -> tuple[float, str]:
    """The value within the limits of an axis, and the arrow that says it lies beyond them ("" where not).

    `arrows`: below and above; of a vertical axis unless given.
    """
    inside = min(max(value, limits[0]), limits[1])
    return inside, "" if inside == value else arrows[value > limits[1]]
