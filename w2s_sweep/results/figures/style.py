"""The style of all figures: colours that colour-blind readers can tell apart, panels, intervals, files."""

import io
import re
import textwrap
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

from w2s_sweep.errors import W2SError
from w2s_sweep.metrics import Interval
from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures.look import SIDES, current, letters

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#332288")
"""Of settings (losses, methods): Okabe and Ito's colours without yellow and black, and two of Paul Tol's."""
MODELS = ("#4C1D95", "#932667", "#DD513A", "#F5A623")
"""Of models, from dark to light as they grow: a colour is never a loss here and a supervisor there."""
ON_DARK = {"#882255": "#f9065b", "#332288": "#ae6afb", "#4c1d95": "#a138fa", "#932667": "#b219a3"}
"""What stands for the darkest colours on the report's dark page: near in hue, three times as bright as the page."""
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
    "axes.titley": 1.0,  # nothing stands above a panel but its title: else all ticks are measured for it, five times
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

    return cast(Any, matplotlib).rc_context(letters(STYLE))


def use_style(draw: "Callable[[Results], Figure]") -> "Callable[[Results], Figure]":
    """Have a figure drawn in the style, whatever matplotlib is set to; W2SError where no cell is finished."""

    @wraps(draw)
    def drawing(results: Results) -> "Figure":
        if not any(g.seeds for g in results.groups):
            raise W2SError(f"{results.sweep}: no cell is finished, so there is nothing to draw.")
        with _style():
            return draw(results)

    return drawing


def grid(count: int, height: float, rows: int = 1) -> tuple[int, tuple[float, float]]:
    """Columns for so many panels, or blocks of so many rows of them, and inches of each one; `height` as in the
    report."""
    columns = {1: 1, 2: 2, 4: 2}.get(count, 3)
    return current().fit(columns, ({1: 6.4, 2: 4.4, 3: 3.3}[columns], height), count * rows)


def most_panels(count: int, most: int, rows: int = 1) -> int:
    """How many of the panels, or blocks of so many rows of them, `grid` has room for, at most so many."""
    return min(most, current().most_panels(grid(count, 1)[0], rows=rows))


def make_panels(
    count: int, columns: int, size: tuple[float, float], title: str, note: str, **shared: Any
) -> "tuple[Figure, list[Any]]":
    """A figure under a title and a quieter note, with `count` axes or more of `size` inches each, and its axes.

    Where the look has no heading, title and note are only said in the figure's metadata.
    """
    from matplotlib.figure import Figure

    look, columns = current(), max(1, min(columns, count))
    rows, width, line = -(-count // columns), size[0] * columns + SIDES, current().scale(LINE)
    lines = (
        textwrap.wrap(title, int(width * 10.5 / look.scale(1))),
        textwrap.wrap(note, int(width * 16 / look.scale(1))),
    )
    head = line * (len(lines[0]) + len(lines[1])) + 0.2 if look.heading else 0.0
    figure: Any = Figure(figsize=(width, size[1] * rows + head), layout="constrained")
    figure.set_label(f"{title}\n{note}")
    height = figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - head / height))
    if look.heading:
        above, below = 1 - 0.06 / height, 1 - (0.1 + line * len(lines[0])) / height
        figure.text(0.06 / width, above, "\n".join(lines[0]), weight="bold", size=look.scale(10.5), va="top")
        about = {"color": QUIET, "size": look.scale(8), "va": "top", "linespacing": 1.3}
        figure.text(0.06 / width, below, "\n".join(lines[1]), **about)
    axes = figure.subplots(rows, columns, squeeze=False, **shared).ravel().tolist()
    for spare in axes[count:]:
        spare.set_visible(False)
    return figure, axes


def caption(figure: "Figure") -> tuple[str, str]:
    """Title and note of a figure, whether they stand in it or not."""
    title, _, note = str(cast(Any, figure).get_label()).partition("\n")
    return title, note


def letters_in(inches: float, points: float = 9.0) -> int:
    """About how many letters of a size in the report fit into a width."""
    return max(8, int(inches * 72 / (0.56 * current().scale(points))))


def legend_below(figure: Any, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """A legend under the panels, in as many columns as its longest label leaves room for; the figure grows by it."""
    if not labels:
        return
    room, longest = figure.get_figwidth() - SIDES, max(map(len, labels))
    entry = 0.55 + longest * 0.58 * current().scale(8) / 72
    columns = max(1, min(4, len(labels), int(room / entry)))
    texts = [wrap(label, letters_in(room - 0.55, 8)) for label in labels]
    tallest = max(text.count("\n") + 1 for text in texts)
    _grow(figure, (-(-len(labels) // columns) * tallest * 0.19 + 0.1) * current().scale(1))
    figure.legend(handles, texts, loc="outside lower left", ncols=columns)


def _grow(figure: Any, inches: float) -> None:
    """Make a figure taller; its heading keeps its distance from the top."""
    before, after = figure.get_figheight(), figure.get_figheight() + inches
    figure.set_figheight(after)
    for text in figure.texts:
        text.set_y(1 - (1 - text.get_position()[1]) * before / after)
    engine = figure.get_layout_engine()
    engine.set(rect=(0, 0, 1, 1 - (1 - engine.get()["rect"][3]) * before / after))


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


def encode(figure: "Figure") -> dict[str, bytes]:
    """Ending (png, svg, pdf) -> the content of that file."""
    with _style():
        lay_out(figure)
        return {ending: _encode(figure, ending) for ending in FILES}


def _encode(figure: Any, ending: str) -> bytes:
    """By the canvas of the format itself: `savefig` draws twice wherever there was a layout engine."""
    buffer = io.BytesIO()
    figure.set_facecolor("white")
    if ending == "png":
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figure.set_dpi(current().dpi)
        cast(Any, FigureCanvasAgg(figure)).print_png(buffer)
    elif ending == "svg":
        from matplotlib.backends.backend_svg import FigureCanvasSVG

        cast(Any, FigureCanvasSVG(figure)).print_svg(buffer, metadata=NO_DATE["svg"])
    else:
        from matplotlib.backends.backend_pdf import FigureCanvasPdf

        cast(Any, FigureCanvasPdf(figure)).print_pdf(buffer, metadata=NO_DATE["pdf"])
    content = buffer.getvalue()
    return _with_titles(content.decode()).encode() if ending == "svg" else content


def lay_out(figure: Any) -> None:
    """Lay a figure out once, for all formats. What is drawn inside panels has no say in it, and is not measured: that
    of thousands of points takes longer than drawing them."""
    for axis in figure.axes:
        for artist in (*axis.lines, *axis.collections, *axis.patches):
            artist.set_in_layout(False)
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")


def _with_titles(svg: str) -> str:
    """What `add_tip` and `draw_dots` say of elements as their titles, which a browser shows under the pointer."""
    named = re.sub(rf'<g id="{TIP}([^"]*)">', r"<g><title>\1</title>", svg)
    linked = re.sub(rf'<a xlink:href="{TIP}([^"]*)"[^>]*>', r"<g><title>\1</title>", named)
    return linked.replace("</a>", "</g>")


FILES = ("png", "svg", "pdf")
NO_DATE = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""The same results are the same bytes."""


def robust_range(values: Sequence[float], inside: tuple[float, float], outside: tuple[float, float]) -> list[float]:
    """Axis limits that hold `inside`, and `values` as far as they lie within `outside`."""
    low = max(outside[0], min([inside[0], *values]))
    high = min(outside[1], max([inside[1], *values]))
    pad = 0.04 * (high - low)
    return [low - pad, high + pad]


TIP = "tip: "
"""How the id, or the link, of an element starts that an SVG has as a title, shown under the pointer."""


def add_tip(drawn: Sequence[Any], about: str) -> None:
    """Say what drawn elements are, for the pointer."""
    for artist in drawn:
        artist.set_gid(f"{TIP}{about}")


def clamp(value: float, limits: Sequence[float], arrows: str = "v^") -> tuple[float, str]:
    """The value within the limits of an axis, and the arrow that says it lies beyond them ("" where not).

    `arrows`: below and above; of a vertical axis unless given.
    """
    inside = min(max(value, limits[0]), limits[1])
    return inside, "" if inside == value else arrows[value > limits[1]]
