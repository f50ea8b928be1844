"""For whom figures are drawn: the report, a paper of one or two columns, a slide. What is drawn is the same."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Literal

Style = Literal["paper", "talk"]
Width = Literal["column", "page"]


@dataclass(frozen=True)
class Look:
    """Widths, letters and headings of figures."""

    name: str
    width: float | None = None
    """Inches of a whole figure; None leaves every panel its natural width."""
    most_columns: int = 4
    """Panels beside each other."""
    points: float = 9.0
    """Size of letters."""
    tall: float = 1.0
    """Height of a panel beside that in the report."""
    tallest: float = 0.0
    """Inches of a whole figure that fits; 0: any height does."""
    heading: bool = True
    """Whether title and note stand in the figure; they are in captions.md in any case."""
    dpi: int = 150
    """Of PNG files."""

    def fit(self, columns: int, size: tuple[float, float], count: int = 1) -> tuple[int, tuple[float, float]]:
        """Columns and inches of a panel, of what they would be in the report; lower ones where so many fit better."""
        if self.width is None:
            return columns, size
        columns = min(columns, self.most_columns)
        lower = max(LOWEST, self._room() / -(-count // columns))
        return columns, ((self.width - SIDES) / columns, min(size[1] * self.tall, lower))

    def most_panels(self, columns: int, height: float = 0.0, rows: int = 1, *, legend: bool = True) -> int:
        """How many panels fit, or blocks of so many rows of them: of the lowest, or of such a height in the report."""
        if self.width is None:
            return sys.maxsize
        room = self._room(legend=legend)
        return min(columns, self.most_columns) * max(1, int(room / max(LOWEST, height * self.tall)) // rows)

    def _room(self, *, legend: bool = True) -> float:
        """Inches of all panels: legends are taller in a column, which has one label beside another nowhere."""
        below = 0.35 if not legend else 0.7 if self.most_columns > 1 else 1.7
        return self.tallest - self.scale(below) - self.heading * self.scale(1.0)

    def scale(self, points: float) -> float:
        """A size of letters in the report -> the same here."""
        return points * self.points / 9


SIDES = 0.2
"""Inches beside the panels of a figure."""
LOWEST = 1.05
"""Inches of a panel in which a line can still be followed."""
REPORT = Look("report")
LOOKS: dict[tuple[Style, Width], Look] = {
    ("paper", "column"): Look("paper", 3.3, 1, 7.5, 0.8, 9.0, heading=False, dpi=300),
    ("paper", "page"): Look("paper", 6.9, 3, 7.5, 0.8, 9.0, heading=False, dpi=300),
    ("talk", "column"): Look("talk", 3.3, 1, 9.5, 0.95, 7.5, dpi=300),
    ("talk", "page"): Look("talk", 6.7, 2, 9.5, 0.9, 7.5, dpi=300),
}
"""A figure of a paper is no taller than a page. One of a talk fills a slide of 13.3 by 7.5 inches, or half of it, at
twice its size, with letters of 19 points; with many panels it is as tall as a slide at its own size."""
_LOOK: ContextVar[Look] = ContextVar("look", default=REPORT)


def current() -> Look:
    """The look that figures are drawn in."""
    return _LOOK.get()


@contextmanager
def use_look(look: Look) -> Generator[None]:
    """Within, figures have this look."""
    token = _LOOK.set(look)
    try:
        yield
    finally:
        _LOOK.reset(token)


def choose(style: Style, width: Width, heading: bool | None) -> Look:
    """The look of a style; `heading` overrules whether title and note stand in the figures."""
    look = LOOKS[style, width]
    return look if heading is None else replace(look, heading=heading)


def letters(rc: dict[str, Any]) -> dict[str, Any]:
    """matplotlib's settings with the letters of the look: their sizes, and in PDF their kind."""
    scaled = {name: _LOOK.get().scale(value) for name, value in rc.items() if name.endswith("size")}
    # Publishers refuse fonts of type 3. Those of type 42 take a second a figure, which a running sweep need not spend.
    return rc | scaled | {"pdf.fonttype": 3 if _LOOK.get().width is None else 42}
