"""What is printed while a sweep runs: a line for each stage that ends, and on a terminal a live view below them."""

import time
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from rich.console import Console
from rich.live import Live

from w2s_sweep.launch.engine import Job
from w2s_sweep.launch.live import View, running_text
from w2s_sweep.launch.pace import Pace, Running
from w2s_sweep.launch.recovered import Cells, Recovered
from w2s_sweep.store.files import read_json
from w2s_sweep.terminal import SafeConsole

PLAIN_SECONDS = 30.0
"""Between two lines on what runs now, where there is no terminal."""
COLOURS = {"done": "green", "failed": "red", "blocked": "yellow", "preempted": "yellow"}


class Progress:
    """Counts stages that have ended and watches the running ones."""

    def __init__(self, job: Job, keys: Iterable[str], console: Console):
        self.job, self.console = job, console
        self.waiting = {key: job.plan.graph.stages[key] for key in keys}
        self.total = len(self.waiting)
        self.running: dict[str, Running] = {}
        self.counts: Counter[str] = Counter()
        self.cells = Cells(job.store, read_json(job.folder / "sweep.json") or {"cells": ()})
        self.recovered: list[Recovered] = []
        self.pace = Pace(self.waiting.values())
        self.beside = 1
        """The most stages that have run at a time."""
        self.shown = time.monotonic()

    def start(self, key: str) -> None:
        self._begin(key)
        self.running[key] = Running(self.job.plan.graph.stages[key], time.monotonic())
        self.beside = max(self.beside, len(self.running))

    def _begin(self, key: str) -> None:
        if (stage := self.waiting.pop(key, None)) is not None:
            self.pace.begin(stage)

    def end(self, key: str, outcome: str) -> None:
        self._begin(key)
        ran, self.counts[outcome] = self.running.pop(key, None), self.counts[outcome] + 1
        spent = None if ran is None else time.monotonic() - ran.began
        if ran is not None and spent is not None and outcome == "done":
            self.pace.end(ran.stage, spent)
        cells = self.cells.finish(key) if outcome == "done" else []
        self.recovered += cells
        self.console.print(self._line(key, outcome, spent, cells), highlight=False)
        self.shown = time.monotonic()

    def _line(self, key: str, outcome: str, spent: float | None, cells: list[Recovered]) -> str:
        count = f"{sum(self.counts.values())}/{self.total}"
        line = f"[{COLOURS[outcome]}]{outcome:>7}[/] {count:>9}  {self.job.plan.graph.stages[key].label}"
        if outcome == "failed":
            failure = read_json(self.job.store.work(key) / "failure.json") or {}
            return f"{line}: {str(failure.get('error', 'unknown error')).splitlines()[0]}"
        if outcome == "blocked":
            return f"{line}  (a stage that it needs has not come to its end)"
        score = _found(read_json(self.job.store.path(key) / "summary.json") or {})
        took = "  (by another process)" if spent is None else f"  {spent:.1f} s"
        more = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
        return f"{line}{score}{took}" + (f"  {cells[0].text.partition('  ')[0]}{more}" if cells else "")

    def tick(self) -> None:
        """Read how far the running stages are; without a terminal, say it now and then."""
        for key, one in self.running.items():
            said = read_json(self.job.store.work(key) / "progress.json")
            if said:
                one.update(said)
        if not self.console.is_terminal and self.running and time.monotonic() - self.shown >= PLAIN_SECONDS:
            self.shown = time.monotonic()
            first, *others = self.running.values()
            more = f" (and {len(others)} more)" if others else ""
            self.console.print(f"running {running_text(first)}{more}", highlight=False, markup=False)

    def view(self) -> View:
        """What the live view shows at this moment."""
        return View(
            name=self.job.name,
            total=self.total,
            counts={
                "done": self.counts["done"],
                "running": len(self.running),
                "waiting": len(self.waiting),
                "failed": self.counts["failed"],
                "blocked": self.counts["blocked"] + self.counts["preempted"],
            },
            running=tuple(self.running.values()),
            left=self.pace.seconds_left(self.running.values(), self.beside),
            recovered=tuple(self.recovered),
            cells=len(self.cells.entries),
            open=len(self.cells.open),
        )


@contextmanager
def make_progress(job: Job, keys: Iterable[str]) -> Generator[Progress]:
    """A live view on a terminal, plain lines elsewhere."""
    progress = Progress(job, keys, SafeConsole())
    live = Live(
        console=progress.console,
        get_renderable=lambda: progress.view().render(),
        refresh_per_second=4,
        transient=True,
    )
    with live if progress.console.is_terminal else nullcontext():
        yield progress


def _found(summary: Mapping[str, Any]) -> str:
    """What a stage says of its result: how many rows are left of those it chose from, or its accuracy."""
    said = [
        f"  {summary[name]:,} of {summary['of']:,} rows {what}"
        for name, what in (("kept", "kept"), ("pairs", "have a pair"))
        if name in summary and "of" in summary
    ]
    scored = summary.get("accuracy/test")
    return "".join(said if scored is None else [*said, f"  accuracy {scored:.3f}"])
