"""The report of a sweep that runs on this machine, written now and then by a process of its own: no stage waits for it.

`python -m w2s_sweep.launch.live_report STORE SWEEP` writes it once.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from w2s_sweep.modules import import_possible, read_recorded
from w2s_sweep.store import Store

FIRST_SECONDS = 60.0
"""Shorter sweeps have no report before they end."""
PATIENCE_SECONDS = 10.0
SHARE = 0.04
"""Most of one core's time that reports may take."""


@dataclass
class LiveReport:
    """Starts a process when one is due and the last one has ended."""

    store: Store
    sweep: str
    first: float = FIRST_SECONDS
    process: "subprocess.Popen[bytes] | None" = None
    began: float = 0.0
    due: float = field(init=False)

    def __post_init__(self) -> None:
        self.due = time.monotonic() + self.first

    def tick(self) -> None:
        """To be called again and again; returns at once."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            self.process, self.due = None, now + max(self.first, (now - self.began) / SHARE)
        if self.process is None and now >= self.due:
            self.process, self.began = self._start(), now

    def _start(self) -> "subprocess.Popen[bytes]":
        source = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(p for p in (source, os.environ.get("PYTHONPATH")) if p)
        with (self.store.sweep(self.sweep) / "jobs" / "live.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "w2s_sweep.launch.live_report", str(self.store.root), self.sweep],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONPATH": path},
                start_new_session=True,
            )

    def stop(self) -> None:
        """End the process, if there is one: the last word is that of the sweep's own results."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None


@contextmanager
def live_report(store: Store, sweep: str) -> Generator[LiveReport]:
    """Within, `tick` keeps the report current."""
    live = LiveReport(store, sweep)
    try:
        yield live
    finally:
        live.stop()


def main(root: str, sweep: str) -> None:
    """Write the report once, behind everything else that this machine does."""
    from w2s_sweep.results.collect import collect
    from w2s_sweep.results.processes import stay_alone
    from w2s_sweep.results.report import write_results

    def leave(_signal: int, _frame: FrameType | None) -> None:
        sys.exit(0)  # what is half written is removed

    signal.signal(signal.SIGTERM, leave)
    os.nice(10)
    store = Store(Path(root))
    import_possible(list(read_recorded(store, sweep)))
    with stay_alone():
        write_results(store, collect(store, sweep), store.sweep(sweep), live=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
