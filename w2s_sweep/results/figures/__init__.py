"""The figures of a sweep. Each `draw_...` makes a matplotlib figure of results; saving them is something else.

No function here needs a display, and none leaves a figure or a setting behind in pyplot.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from w2s_sweep.results.figures.bars import draw_bars
from w2s_sweep.results.figures.facets import facets
from w2s_sweep.results.figures.pgr import draw_medians, draw_pgr
from w2s_sweep.results.figures.scaling import draw_scaling
from w2s_sweep.results.figures.scatter import draw_gain, draw_tasks
from w2s_sweep.results.figures.strength import draw_strength
from w2s_sweep.results.figures.style import save
from w2s_sweep.results.figures.training import draw_curves
from w2s_sweep.results.records import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plot:
    """A figure that can be drawn of results."""

    name: str
    """That of its files."""
    caption: str
    draw: "Callable[[Results], Figure]"


@dataclass(frozen=True)
class SavedFigure:
    """A figure on disk."""

    name: str
    caption: str
    png: Path
    svg: Path


MEDIANS = Plot("medians", "Median PGR over tasks", draw_medians)
TASKS = Plot("tasks", "PGR of each task against its gap", draw_tasks)
PGR = Plot("pgr", "PGR by loss and method", draw_pgr)
BARS = Plot("accuracy", "Weak supervisor, student and ceiling", draw_bars)
STRENGTH = Plot("strength", "Student against the strong model", draw_strength)
SCALING = Plot("scaling", "Scaling with the student's size", draw_scaling)
CURVES = Plot("curves", "Students over training", draw_curves)
GAIN = Plot("gain", "Gain in Brier score against misfit", draw_gain)


def choose_plots(results: Results) -> list[Plot]:
    """The figures that say something about these results, in the order of the report; none before a cell is done."""
    groups = [g for g in results.groups if g.seeds]
    if not groups:
        return []
    sizes = [STRENGTH] if len({g.strong_model for g in groups}) > 1 else []
    sizes += [SCALING] if len({g.strong_params for g in groups}) > 1 else []
    curves = [CURVES] if any(point.role == "student" for point in results.curves) else []
    if len({g.dataset for g in groups}) == 1:
        return [PGR, BARS, *sizes, *curves, GAIN]
    averaged = facets(results).averaged  # then `medians` shows what `pgr` would, and more
    return [MEDIANS, TASKS, *sizes, *([] if averaged else [PGR]), BARS, *curves, GAIN]


def save_figures(results: Results, folder: Path) -> list[SavedFigure]:
    """Draw all figures that the results allow into `folder`; none when no cell is finished."""
    plots = choose_plots(results)
    return [SavedFigure(plot.name, plot.caption, *save(plot.draw(results), folder / plot.name)) for plot in plots]


__all__ = [
    "Plot",
    "SavedFigure",
    "choose_plots",
    "draw_bars",
    "draw_curves",
    "draw_gain",
    "draw_medians",
    "draw_pgr",
    "draw_scaling",
    "draw_strength",
    "draw_tasks",
    "save_figures",
]
