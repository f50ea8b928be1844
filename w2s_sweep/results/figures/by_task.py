"""PGR by task: a row per task, a point with its interval per setting, a panel per pair of models."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from w2s_sweep.metrics import Interval, median_interval
from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures.facets import choose_settings, facts
from w2s_sweep.results.figures.layout import WIDTHS, arrow_note, columns_of, ends, looks_of, pgr_limits, title_letters
from w2s_sweep.results.figures.look import current
from w2s_sweep.results.figures.style import (
    QUIET,
    add_tip,
    clamp,
    legend_below,
    make_panels,
    use_style,
    whisker,
    wrap,
)
from w2s_sweep.results.tables.lines import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 260
"""With more points than this, pairs of models are one panel, of their median."""
MOST_PAIRS = 12
"""The same, with more pairs of models than this, or than there is room for."""
MOST_SETTINGS = 16
"""Settings of a task: with more of them neither points nor the legend can be read."""
STEP = 0.13
"""Inches from one setting to the next within a task, where there is room."""
GAP = 0.14
"""Inches between two tasks, where there is room."""
TALLEST = 9.0
"""Inches of a panel: with more settings and tasks their rows move together, and points become smaller."""


@dataclass(frozen=True)
class Rows:
    """Where the points of tasks and settings stand."""

    height: float
    """Inches of a task."""
    step: float
    """Inches of a setting."""
    settings: int

    @classmethod
    def of(cls, tasks: int, settings: int) -> "Rows":
        wished = STEP * settings + GAP
        height = min(wished, TALLEST / tasks)
        return cls(height, STEP * height / wished, settings)

    def offset(self, place: int) -> float:
        """Where within a task, which is one unit high, a setting stands."""
        return (place - (self.settings - 1) / 2) * self.step / self.height

    @property
    def point(self) -> float:
        """Diameter of a point."""
        return min(4.0, max(1.5, 0.75 * self.step * 72))


@dataclass(frozen=True)
class TaskPgr:
    """The PGR of one task under one setting, of one pair of models or over all of them."""

    task: str
    pair: str
    """Empty where pairs are merged."""
    variant: str
    pgr: Interval
    pairs: int
    """Pairs of models with a PGR."""


def task_pgrs(results: Results) -> list[TaskPgr]:
    """Panel by panel; settings whose PGR is not identified are there without a value."""
    found: dict[tuple[str, str, str], list[Interval]] = {}
    groups = [g for g in results.groups if g.seeds]
    pairs, settings = len({g.pair for g in groups}), len({results.variant(g) for g in groups})
    height = _height(len({g.dataset for g in groups}), min(settings, MOST_SETTINGS))
    merged = pairs > 1 and (len(groups) > MOST_ROWS or pairs > min(MOST_PAIRS, current().most_panels(4, height)))
    for g in groups:
        found.setdefault((g.dataset, "" if merged else g.pair, results.variant(g)), []).append(g.pgr)
    return [TaskPgr(*where, *_merge(pgrs)) for where, pgrs in found.items()]


def _height(tasks: int, settings: int) -> float:
    """Inches of a panel in the report."""
    return 0.5 + tasks * Rows.of(tasks, settings).height


def _merge(pgrs: list[Interval]) -> tuple[Interval, int]:
    known = [pgr for pgr in pgrs if pgr.value is not None]
    if len(pgrs) == 1:
        return pgrs[0], len(known)
    return median_interval([pgr.value for pgr in known if pgr.value is not None]), len(known)


@use_style
def draw_by_task(results: Results) -> "Figure":
    """Crosses on the left edge are PGRs that are not identified."""
    every, looks = task_pgrs(results), looks_of(results)
    variants, left_out = choose_settings(results, {p.variant for p in every}, MOST_SETTINGS, "by_task.csv")
    points = [p for p in every if p.variant in variants]
    pairs, tasks = list(dict.fromkeys(p.pair for p in points)), list(dict.fromkeys(p.task for p in points))
    columns = columns_of(len(pairs), len({g.strong_model for g in results.groups if g.seeds}))
    rows = Rows.of(len(tasks), len(variants))
    columns, size = current().fit(columns, (WIDTHS[columns], _height(len(tasks), len(variants))))
    known = [p.pgr.value for p in points if p.pgr.value is not None]
    limits = pgr_limits(known, [value for p in points for value in ends(p.pgr)])
    note = _note(results, points, pairs, limits) + left_out
    figure, axes = make_panels(
        len(pairs), columns, size, "Performance gap recovered by task", note,
        sharex=True, sharey=True,
    )  # fmt: skip
    for place, (axis, pair) in enumerate(zip(axes, pairs, strict=False)):
        for p in points:
            if p.pair == pair:
                at = tasks.index(p.task) + rows.offset(variants.index(p.variant))
                _draw_point(axis, p, at, looks[p.variant], limits, rows.point)
        for x in (0, 1):
            axis.axvline(x, color=QUIET, lw=1, ls=(0, (4, 3)), zorder=1)
        for border in range(1, len(tasks)):
            axis.axhline(border - 0.5, color=QUIET, lw=0.4, alpha=0.5, zorder=0)
        axis.set_title(wrap(pair, title_letters(size[0])), loc="left")
        axis.grid(axis="y", visible=False)
        axis.tick_params(length=0)
        if place + columns >= len(pairs):
            axis.set_xlabel("PGR (0 = weak, 1 = ceiling)")
            axis.tick_params(axis="x", labelbottom=True)
    axes[0].set_xlim(limits)
    axes[0].locator_params(axis="x", nbins=max(3, min(7, int(1.25 * size[0]))))
    axes[0].set_yticks(range(len(tasks)), [wrap(task, 24) for task in tasks])
    axes[0].set_ylim(len(tasks) - 0.45, -0.55)
    handles = [axes[0].plot([], [], m, color=c, ms=5, mew=0)[0] for c, m in (looks[name] for name in variants)]
    legend_below(figure, handles, variants)
    return figure


def _note(results: Results, points: list[TaskPgr], pairs: list[str], limits: list[float]) -> str:
    unknown = sum(p.pgr.value is None for p in points)
    said = [f"median over {len({g.pair for g in results.groups})} pairs of models"] if pairs == [""] else []
    said += [f"crosses on the left: PGR not identified ({unknown})"] if unknown else []
    said += [facts(results, interval=pairs != [""], pgr=pairs == [""])]
    return "; ".join(said) + arrow_note([value for p in points for value in ends(p.pgr)], limits)


def _draw_point(axis: Any, p: TaskPgr, at: float, look: tuple[str, str], limits: list[float], size: float) -> None:
    color, marker = look
    about = f"{p.task}, {p.pair or 'all pairs of models'}, {p.variant}: PGR "
    if p.pgr.value is None:
        drawn = axis.plot(limits[0], at, "x", color=color, ms=0.9 * size, mew=1, clip_on=False, zorder=5)
        add_tip(drawn, about + "not identified")
        return
    whisker(axis, p.pgr, at, color, width=size / 4, limits=limits)
    inside, arrow = clamp(p.pgr.value, limits, "<>")
    drawn = axis.plot(inside, at, arrow or marker, color=color, ms=size, mew=0, clip_on=False, zorder=5)
    add_tip(drawn, about + number(p.pgr.value, 2))
