"""What is printed while a sweep runs here: one line for each finished stage, a live bar on a terminal."""

import sys
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from w2s_sweep.kinds import Kind
from w2s_sweep.plan.stage import Stage
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json
from w2s_sweep.terminal import SafeConsole


class Progress:
    """Counts finished stages and shows how far the running ones are."""

    def __init__(self, store: Store, stages: Sequence[Stage[Kind]], console: Console, bars: Bars):
        self.store, self.console, self.bars = store, console, bars
        self.stages = {stage.key: stage for stage in stages}
        self.began: dict[str, float] = {}
        self.running: dict[str, TaskID] = {}
        self.counts: Counter[str] = Counter()
        self.all = bars.add_task("stages", total=len(stages))

    def start(self, key: str) -> None:
        self.began[key] = time.monotonic()
        self.running[key] = self.bars.add_task(self.stages[key].label, total=None)

    def end(self, key: str, outcome: str) -> None:
        if key in self.running:
            self.bars.remove_task(self.running.pop(key))
        self.counts[outcome] += 1
        self.bars.advance(self.all)
        self.console.print(self._line(key, outcome), highlight=False)

    def _line(self, key: str, outcome: str) -> str:
        colour = {"done": "green", "failed": "red", "blocked": "yellow", "preempted": "yellow"}[outcome]
        count = f"{sum(self.counts.values())}/{len(self.stages)}"
        line = f"[{colour}]{outcome:>7}[/] {count:>9}  {self.stages[key].label}"
        if outcome == "failed":
            failure = read_json(self.store.work(key) / "failure.json") or {}
            return f"{line}: {str(failure.get('error', 'unknown error')).splitlines()[0]}"
        summary = read_json(self.store.path(key) / "summary.json") or {}
        scored = summary.get("accuracy/test")
        score = "" if scored is None else f"  accuracy {scored:.3f}"
        if outcome == "blocked":
            return f"{line}  (a stage that it needs has not come to its end)"
        spent = f"  {time.monotonic() - self.began[key]:.1f} s" if key in self.began else "  (by another process)"
        return f"{line}{score}{spent}"

    def tick(self) -> None:
        """Read how far the running stages are."""
        for key, task in self.running.items():
            state = read_json(self.store.work(key) / "progress.json")
            if state:
                self.bars.update(task, completed=state["step"], total=state["total"])


@contextmanager
def make_progress(store: Store, stages: Sequence[Stage[Kind]]) -> Generator[Progress]:
    """Bars on a terminal, plain lines elsewhere."""
    console = SafeConsole()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True, disable=not sys.stdout.isatty()) as bars:
        yield Progress(store, stages, console, bars)
