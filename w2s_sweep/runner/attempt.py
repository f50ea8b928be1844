"""One try at a claimed stage: it runs in a folder of the try's own, which is published by one rename."""

import logging
import os
import platform
import shutil
import socket
import time
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from w2s_sweep.errors import Preempted, W2SError
from w2s_sweep.kinds import Kind
from w2s_sweep.plan.stage import Stage
from w2s_sweep.runner.context import Beside, Context
from w2s_sweep.runner.ranks import ranks_of, run_on_ranks
from w2s_sweep.runner.spec import Interrupts, Outcome, Pack
from w2s_sweep.store import Lease
from w2s_sweep.store.files import write_json

log = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"
Steps = Generator[Any, Any, Outcome | None]
"""A stage that stops wherever it needs what is computed for several of them, and is sent that; ends with what became of
it."""


def run_stage(pack: Pack, stage: Stage[Kind], lease: Lease, signals: Interrupts) -> Outcome | None:
    """Run a claimed stage and publish its result; an error is recorded beside its log and goes no further.

    None where somebody else took the claim over meanwhile: nothing that this run does afterwards counts.
    """
    with log_to(log_of(pack, stage)):
        steps = run_in_steps(pack, stage, lease, signals)
        try:
            while True:
                next(steps)  # once: alone, a stage waits for nothing
        except StopIteration as end:
            return end.value


def log_of(pack: Pack, stage: Stage[Kind]) -> Path:
    """Where the log of a stage is written while it runs."""
    work = pack.store.work(stage.key)
    work.mkdir(parents=True, exist_ok=True)
    return work / "log.txt"


def run_in_steps(
    pack: Pack, stage: Stage[Kind], lease: Lease, signals: Interrupts, beside: Beside | None = None
) -> Steps:
    """As `run_stage`, `beside` others; what it logs is for whoever goes through the steps to keep."""
    work = pack.store.work(stage.key)
    pack.store.clear_attempts(stage.key)
    log.info("start %s (%s) on %s, process %d", stage.label, stage.key, socket.gethostname(), os.getpid())
    try:
        write_json(work / "preimage.json", stage.preimage)
        (work / "failure.json").unlink(missing_ok=True)
        yield from _make(pack, stage, lease, signals, beside)
    except Preempted:
        log.info("stopped before the end; the next run continues from the last checkpoint")
        return None if lease.lost.is_set() else "preempted"
    except Exception as error:  # the boundary: one stage's error must not take the pack down
        if not lease.check():
            log.warning("%s: left to the process that took over: %s", stage.label, error)
            return None
        _record_failure(work, stage, error)
        return "failed"
    log.info("published %s (%s)", stage.label, stage.key)
    return "done"


def _make(
    pack: Pack, stage: Stage[Kind], lease: Lease, signals: Interrupts, beside: Beside | None
) -> Generator[Any, Any, None]:
    """Write the stage's files in a folder of this attempt's own, and publish it."""
    work = pack.store.work(stage.key)

    def stop() -> bool:
        if lease.lost.is_set():
            # Raised and not returned: saving first would replace the new owner's checkpoint by an older one.
            raise Preempted
        return signals.stop()

    with pack.store.attempt(stage.key) as out:
        if pack.spec is not None and (count := ranks_of(stage)) > 1:
            run_on_ranks(pack.spec, stage, out, count, stop, signals.save)
        else:
            context = Context(pack.store, stage, out, pack.run, stop, signals.save, beside or Beside())
            if beside is None:
                stage.settings.load()(context)
            else:
                yield from stage.settings.load_steps()(context)
        # Once more before publication: the last work of a stage may have been long, without a call of `stop`.
        if not lease.check():
            raise Preempted
        if (work / "log.txt").is_file():
            shutil.copyfile(work / "log.txt", out / "log.txt")


def _record_failure(work: Path, stage: Stage[Kind], error: Exception) -> None:
    text = str(error) if isinstance(error, W2SError) else traceback.format_exc()
    log.error("%s failed: %s", stage.label, text)
    record: dict[str, Any] = {
        "key": stage.key,
        "label": stage.label,
        "error": f"{type(error).__name__}: {error}",
        "text": text[-4000:],
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "job": os.environ.get("SLURM_JOB_ID"),
    }
    try:
        write_json(work / "failure.json", record)
    except (OSError, W2SError) as full:  # the disk may be what failed
        log.error("the failure itself could not be recorded: %s", full)


@contextmanager
def log_to(path: Path):
    """Everything that is logged while a stage runs goes to its log file too."""
    handler = open_log(path)
    try:
        with logged(handler):
            yield
    finally:
        handler.close()


def open_log(path: Path) -> logging.Handler:
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    return handler


@contextmanager
def logged(handler: logging.Handler):
    """What is logged within goes to `handler` too."""
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
