"""The live view of a sweep: stages by state, what runs how fast and until when, the last PGRs."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from w2s_sweep.amounts import show_time
from w2s_sweep.launch.pace import Running
from w2s_sweep.launch.recovered import Recovered

STYLES = {"done": "green", "running": "cyan", "waiting": "dim", "failed": "bold red", "blocked": "yellow"}
MANY = 6
"""Running stages that are shown; more are counted."""
LAST = 4
"""Cells whose PGR is shown."""


@dataclass(frozen=True)
class View:
    """A sweep at one moment."""

    name: str
    total: int
    """Stages that this command runs."""
    counts: Mapping[str, int]
    """State -> stages."""
    running: tuple[Running, ...]
    left: float | None
    """Seconds until all have ended; None while that is not known."""
    recovered: tuple[Recovered, ...]
    """Cells that were finished under this view, in order."""
    cells: int
    open: int
    """Cells that are not finished."""

    def render(self) -> Group:
        return Group(Text(), self._head(), *self._running(), *self._pgrs())

    def _head(self) -> Table:
        ended = self.total - self.counts["running"] - self.counts["waiting"]
        said = Text.assemble((self.name, "bold"), f"  {self.cells - self.open}/{self.cells} cells  ")
        for state, count in self.counts.items():
            if count or state in ("done", "waiting"):
                said.append(f"{count} {state}  ", style=STYLES[state])
        left = "time left: not known yet" if self.left is None else f"about {show_time(self.left)} left"
        grid = Table.grid(padding=(0, 2))
        grid.add_row(said, ProgressBar(total=max(1, self.total), completed=ended, width=24), Text(left))
        return grid

    def _running(self) -> list[Table | Text]:
        grid = Table.grid(padding=(0, 2))
        for one in self.running[:MANY]:
            bar = ProgressBar(total=one.total or None, completed=one.step, width=16, pulse=not one.total)
            label = Text(one.stage.label, style="cyan", overflow="ellipsis", no_wrap=True)
            grid.add_row(Text("  ▸"), label, bar, *(Text(part) for part in _speed(one)))
        if not self.running and self.counts["waiting"]:
            return [Text("  starting ...", style="dim")]
        more = [Text(f"    and {len(self.running) - MANY} more")] if len(self.running) > MANY else []
        return [grid, *more] if self.running else []

    def _pgrs(self) -> list[Text]:
        return [Text(f"  {one.text}", style="dim", overflow="ellipsis") for one in self.recovered[-LAST:]]


def _speed(one: Running) -> tuple[str, str, str]:
    """Steps, speed and time left of a stage, each empty while it is not known."""
    steps = f"{one.step}/{one.total}" if one.total else "starting"
    if one.tokens_rate is not None:
        speed = f"{one.tokens_rate:,.0f} tokens/s"
    else:
        speed = "" if one.rate is None else f"{one.rate:,.1f} steps/s"
    return steps, speed, "" if one.left is None else f"{show_time(one.left)} left"


def running_text(one: Running) -> str:
    """The same in a line of plain text."""
    return "  ".join(part for part in (one.stage.label, *_speed(one)) if part)
