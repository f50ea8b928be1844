"""Processes by pid and start time: a pid alone can belong to another process by now. Zombies count as dead."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from w2s_sweep.errors import W2SError

POLL_SECONDS = 0.05
PROC = Path("/proc")


class ClusterError(W2SError):
    """A test cluster that cannot be started, used or stopped."""


@dataclass(frozen=True)
class Process:
    """A process that was seen; `started` is in clock ticks since boot, as /proc has it."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        return find(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process is gone."""
        if not self.alive:
            return
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return


def find(pid: int) -> Process | None:
    """The living process of this pid."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *rest = text.rpartition(")")[2].split()
    return None if state in "ZX" else Process(pid, int(rest[18]))


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll until the condition holds; ClusterError `what` when it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"not within {seconds:g} s: {what}")
        time.sleep(POLL_SECONDS)


def end(processes: Iterable[Process], grace_seconds: float) -> None:
    """SIGTERM to all, then SIGKILL to those that are still there after the grace time. Returns when all are gone.

    A slurmd without a controller ignores SIGTERM.
    """
    there = [process for process in processes if process.alive]
    for process in there:
        process.send(signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while any(process.alive for process in there) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    kill(there)


def kill(processes: Iterable[Process]) -> None:
    """SIGKILL; returns when all are gone."""
    there = list(processes)
    for process in there:
        process.send(signal.SIGKILL)
    wait_until(lambda: not any(p.alive for p in there), 10, f"{there} to die of SIGKILL")


def with_variable(name: str, value: str) -> Iterator[tuple[Process, str, bool]]:
    """Other living processes whose environment has this variable: process, command, and whether it belongs to a job."""
    wanted = os.fsencode(f"{name}={value}")
    own = set(_ancestors())
    for folder in PROC.glob("[0-9]*"):
        process = find(int(folder.name))
        if process is None or process.pid in own:
            continue
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "comm").read_text().strip()
        except OSError:  # it has ended, or belongs to somebody else
            continue
        if wanted in environment and process.alive:
            yield process, command, any(line.startswith(b"SLURM_JOB_ID=") for line in environment)


def _ancestors() -> Iterator[int]:
    """This process, its parent and so on."""
    pid = os.getpid()
    while pid > 0:
        yield pid
        try:
            pid = int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return
