"""Many points of a panel, drawn as a few collections: an artist for each of thousands takes a millisecond, four times
over (layout, PNG, SVG, PDF)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from w2s_sweep.results.figures.style import TIP


@dataclass(frozen=True)
class Dot:
    """One point, and how it looks."""

    x: float
    y: float
    marker: str
    color: str
    about: str = ""
    """What the pointer is told in the report; empty: nothing."""


def draw_dots(axis: Any, dots: Iterable[Dot], size: float, *, order: float = 4, alpha: float = 1.0) -> None:
    """Draw points of a diameter, in points; those that look alike are one collection. They may reach over the edge."""
    alike: dict[tuple[str, str], list[Dot]] = {}
    for dot in dots:
        alike.setdefault((dot.marker, dot.color), []).append(dot)
    for (marker, color), found in alike.items():
        drawn = axis.scatter(
            [dot.x for dot in found],
            [dot.y for dot in found],
            s=size**2,
            color=color,
            marker=marker,
            linewidths=1.2 if marker == "x" else 0,
            alpha=alpha,
            clip_on=False,
            zorder=order,
        )
        if any(dot.about for dot in found):
            drawn.set_urls([f"{TIP}{dot.about}" for dot in found])  # `style.save` turns them into titles
