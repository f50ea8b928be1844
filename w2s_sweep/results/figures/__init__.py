"""The figures of a sweep. Each `draw_...` makes a matplotlib figure of results; saving them is something else.

No function here needs a display, and none leaves a figure or a setting behind in pyplot.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures import data
from w2s_sweep.results.figures.agreement import draw_agreement, has_agreement
from w2s_sweep.results.figures.bars import draw_bars
from w2s_sweep.results.figures.by_task import draw_by_task
from w2s_sweep.results.figures.calibration import draw_calibration
from w2s_sweep.results.figures.facets import facets
from w2s_sweep.results.figures.heat import draw_heat
from w2s_sweep.results.figures.look import REPORT, Look, use_look
from w2s_sweep.results.figures.pgr import draw_medians, draw_pgr
from w2s_sweep.results.figures.saved import SavedFigure, find_kept, fingerprint, has_kept, keep, write_figure
from w2s_sweep.results.figures.scaling import draw_scaling
from w2s_sweep.results.figures.scatter import draw_gain, draw_tasks
from w2s_sweep.results.figures.strength import draw_strength, strength_groups
from w2s_sweep.results.figures.style import caption, encode
from w2s_sweep.results.figures.training import draw_curves, has_curves
from w2s_sweep.results.memory import no_garbage_collection
from w2s_sweep.results.processes import run_beside

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plot:
    """A figure that can be drawn of results."""

    name: str
    """That of its files."""
    caption: str
    draw: "Callable[[Results], Figure]"
    rows: Callable[[Results], Sequence[data.Line]]
    """The numbers that it shows."""


MEDIANS = Plot("medians", "Median PGR over tasks", draw_medians, data.median_rows)
TASKS = Plot("tasks", "PGR of each task against its gap", draw_tasks, data.task_rows)
BY_TASK = Plot("by_task", "PGR by task", draw_by_task, data.by_task_rows)
PGR = Plot("pgr", "PGR by loss and method", draw_pgr, data.pgr_rows)
HEAT = Plot("heat", "PGR by supervisor and strong model", draw_heat, data.heat_rows)
BARS = Plot("accuracy", "Weak supervisor, student and ceiling", draw_bars, data.bar_rows)
STRENGTH = Plot("strength", "Student against the strong model", draw_strength, data.strength_rows)
SCALING = Plot("scaling", "Scaling with the student's size", draw_scaling, data.scaling_rows)
CURVES = Plot("curves", "Students over training", draw_curves, data.curve_rows)
AGREEMENT = Plot("agreement", "Agreement with the supervisor", draw_agreement, data.agreement_rows)
CALIBRATION = Plot("calibration", "Accuracy by confidence", draw_calibration, data.calibration_rows)
GAIN = Plot("gain", "Gain in Brier score against misfit", draw_gain, data.gain_rows)


def choose_plots(results: Results) -> list[Plot]:
    """The figures that say something about these results, in the order of the report; none before a cell is done."""
    groups = [g for g in results.groups if g.seeds]
    if not groups:
        return []
    strong = {g.strong_model for g in groups}
    sizes = [HEAT] if len(strong) > 1 and len({g.weak_model for g in groups}) > 1 else []
    sizes += [SCALING] if len({g.strong_params for g in groups}) > 1 else []
    sizes += [STRENGTH] if len(strong) > 1 and strength_groups(results) else []
    rest = [CURVES] if has_curves(results) else []
    rest += [AGREEMENT] if any(map(has_agreement, groups)) else []
    rest += [CALIBRATION] if any(results.reliability.values()) else []
    rest += [GAIN] if any("misfit" in g.details for g in groups) else []
    if len({g.dataset for g in groups}) == 1:
        return [PGR, BARS, *sizes, *rest]
    averaged = facets(results).averaged  # then `medians` shows what `pgr` would, and more
    return [MEDIANS, BY_TASK, TASKS, *sizes, *([] if averaged else [PGR]), BARS, *rest]


def save_figures(results: Results, folder: Path, look: Look = REPORT) -> list[SavedFigure]:
    """Draw all figures that the results allow into `folder`, with the numbers of each; none when no cell is finished.

    For whom: `look`. The order is that of the report. Nothing is drawn where the folder has them of the same results.
    """
    return save_beside(choose_plots(results), results, folder, [], look)[0]


def save_beside(
    plots: Sequence[Plot], results: Results, folder: Path, others: Sequence[Callable[[], Any]], look: Look = REPORT
) -> tuple[list[SavedFigure], list[Any]]:
    """The same of these figures, those that `choose_plots` finds, and what other works find that are done beside it:
    figures need nothing of each other. The longest works come first."""
    fingerprinted = partial(fingerprint, results, look)
    if has_kept(folder):  # else what they are drawn of is asked for by nobody until they are
        drawn_of = fingerprinted()
        if (there := find_kept(folder, drawn_of)) is not None:
            return there, run_beside(others)
        fingerprinted = partial(str, drawn_of)
    if not plots:
        return [], run_beside(others)
    import matplotlib.figure  # once, for all processes  # noqa: F401  # pyright: ignore[reportUnusedImport]

    with use_look(look):
        drawings = [partial(_save, plot, results, folder) for plot in plots]
        drawn_of, *found = run_beside([fingerprinted, *others, *drawings])
    saved = found[len(others) :]
    keep(folder, drawn_of, saved)
    return saved, found[: len(others)]


@no_garbage_collection
def _save(plot: Plot, results: Results, folder: Path) -> SavedFigure:
    figure = plot.draw(results)
    title, note = caption(figure)
    about = {"name": plot.name, "caption": plot.caption, "title": title, "note": note}
    return write_figure(folder, about, encode(figure) | {"csv": data.as_text(plot.rows(results)).encode()})


__all__ = [
    "Plot",
    "SavedFigure",
    "choose_plots",
    "draw_agreement",
    "draw_bars",
    "draw_by_task",
    "draw_calibration",
    "draw_curves",
    "draw_gain",
    "draw_heat",
    "draw_medians",
    "draw_pgr",
    "draw_scaling",
    "draw_strength",
    "draw_tasks",
    "save_figures",
]
