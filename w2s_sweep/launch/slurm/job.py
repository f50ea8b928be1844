"""What runs inside a task of the cluster: the packs of one job file, the cluster's signals, an exit status.

USR2 (time limit or preemption with notice): save and leave with status 75, and the task's script queues it again
(requeue.sh). TERM (preemption without notice, or scancel): save now and go on; SLURM ends the process itself. The
store's claims decide who runs a stage, so a task that runs twice, even at once, is harmless.
"""

import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from w2s_sweep.errors import DeviceLost
from w2s_sweep.launch.slurm.queued import say_state
from w2s_sweep.launch.stall import STALLED, watch
from w2s_sweep.runner import worker
from w2s_sweep.store import Store
from w2s_sweep.store.claim import slurm_job
from w2s_sweep.store.files import read_json

LOOK_SECONDS = 1.0
AGAIN = 75
"""Exit status of a process that saved its state and is to be run again."""


class Signals:
    """What the cluster has requested."""

    def __init__(self) -> None:
        self.leave = threading.Event()
        self.save = threading.Event()
        self.orphaned = threading.Event()
        """SLURM's process above this one has died: nobody learns of our end, and SLURM may take us for running."""

    def install(self) -> None:
        """Replaces submitit's own handlers, which know nothing of checkpoints in the store."""
        signal.signal(signal.SIGUSR2, self._on_leave)
        signal.signal(signal.SIGTERM, self._on_save)
        # SLURM sends CONT with TERM, to wake suspended jobs; submitit has a handler for it, which goes with the others.
        signal.signal(signal.SIGCONT, lambda number, frame: None)
        worker.when_orphaned(self._on_orphaned, LOOK_SECONDS)

    def _on_leave(self, number: int, frame: FrameType | None) -> None:
        self.leave.set()

    def _on_save(self, number: int, frame: FrameType | None) -> None:
        self.save.set()

    def _on_orphaned(self) -> None:
        self.orphaned.set()
        self.leave.set()


def run_job(spec: str, beside: int = 0, failed: Sequence[str] = ()) -> None:
    """Run the pack in `spec`, with `beside` more processes on the same pack; SystemExit on anything but success.

    `failed`: keys of stages that are not tried again.
    """
    worker.configure_process()
    signals = Signals()
    signals.install()
    _watch(spec)
    others = [_start_beside(spec) for _ in range(beside)]
    _say(spec, "running")
    try:
        status = worker.run_files([spec], signals.leave, signals.save, failed)
    except DeviceLost as lost:
        for other in others:
            _wait(other, signals)
        _succeed(spec, lost)
    # The largest status decides: 75 (run me again) must not be hidden by a stage that failed in another process.
    status = max([status, *(_wait(other, signals) for other in others)])
    _say(spec, "queued again" if status == AGAIN else "ended")
    if signals.orphaned.is_set():
        requeue_orphan()
    sys.stdout.flush()
    sys.stderr.flush()
    if status:
        raise SystemExit(status)


def _say(spec: str, state: str) -> None:
    """For those who cannot see this job in their queue."""
    if (record := read_json(Path(spec))) is not None:
        say_state(Store(Path(record["store"])), state)


def _watch(spec: str) -> None:
    """End this process where a stage of it hangs, if that was set; what it did since its checkpoint is lost."""
    minutes, record = os.environ.get("W2S_STALL_MINUTES"), read_json(Path(spec))
    if minutes is None or record is None:
        return

    def end(key: str) -> None:
        logging.error("stage %s: no progress for %s minutes; its task is ended, to be queued again", key, minutes)
        os._exit(STALLED)  # the thread that hangs leaves by no exception

    keys = [stage["key"] for stage in record["stages"]]
    watch(Store(Path(record["store"])), keys, slurm_job(), float(minutes), end)


def _start_beside(spec: str) -> "subprocess.Popen[bytes]":
    """Another process for the same pack: claims share the stages out among them."""
    return subprocess.Popen([sys.executable, "-m", "w2s_sweep.runner.worker", spec])


def _succeed(spec: str, lost: DeviceLost) -> NoReturn:
    """Go on with what is left of the pack, as another program in the same process: SLURM and submitit see no change."""
    logging.error("%s", lost)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "w2s_sweep.launch.slurm.job", spec, *lost.failed])


def _wait(process: "subprocess.Popen[bytes]", signals: Signals) -> int:
    """Exit status as a shell has it: 137 after SIGKILL; 1 where only the GPU context broke, others do its stages."""
    while True:
        try:
            status = process.wait(timeout=LOOK_SECONDS)
            if status == worker.LOST:
                return 1
            return status if status >= 0 else 128 - status
        except subprocess.TimeoutExpired:
            if signals.leave.is_set():
                process.send_signal(signal.SIGTERM)


def requeue_orphan() -> None:
    """Queue the task again, unless SLURM has done that by itself; otherwise it may hang until its time limit."""
    job = slurm_job()
    if job is None:
        return
    shown = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, check=False).stdout
    restarts = re.search(r"\bRestarts=(\d+)", shown)
    # With more restarts SLURM has queued the task again by itself, and a requeue would end that new run of it.
    same_run = restarts is not None and restarts[1] == os.environ.get("SLURM_RESTART_COUNT", "0")
    if same_run and re.search(r"\bJobState=RUNNING\b", shown):
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
        print(f"SLURM lost sight of this process; scontrol requeue {job}: {done.stderr.strip() or 'done'}", flush=True)


if __name__ == "__main__":
    run_job(sys.argv[1], failed=sys.argv[2:])
