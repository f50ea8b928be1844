"""Runs a pack: each of its stages once, guarded by a claim; a failure stops nobody but the stages that need it."""

import logging
import os
import platform
import shutil
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from w2s_sweep.errors import DeviceLost, Preempted, W2SError
from w2s_sweep.kinds import Kind
from w2s_sweep.modules import import_possible
from w2s_sweep.plan.stage import Stage
from w2s_sweep.runner.context import Context, RunSettings
from w2s_sweep.runner.ranks import ranks_of, run_on_ranks
from w2s_sweep.store import Lease, Store, acquire, read_claim
from w2s_sweep.store.files import read_json, write_json

Outcome = Literal["done", "failed", "blocked", "preempted"]
log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
LOG_FORMAT = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"


@dataclass(frozen=True)
class Interrupts:
    """Requests from outside while the process works."""

    stop: Callable[[], bool]
    """Save and leave."""
    save: threading.Event
    """Save now and go on."""


@dataclass(frozen=True)
class Pack:
    """A spec file, read: the stages of one process and how to run them."""

    store: Store
    stages: Sequence[Stage[Kind]]
    run: RunSettings
    spec: Path | None = None
    """Where it was read."""

    @classmethod
    def read(cls, path: Path) -> "Pack":
        spec = read_json(path)
        if spec is None:
            raise W2SError(f"job file {path} is missing or unreadable; submit the sweep again.")
        Store(Path(spec["store"])).give_group_rights()
        for problem in import_possible(spec["modules"]):  # a stage that needs it fails, the others do not
            log.error("%s", problem)
        return cls(
            store=Store(Path(spec["store"])),
            stages=[Stage.from_json(stage) for stage in spec["stages"]],
            run=RunSettings(**spec["run"]),
            spec=path,
        )


def run_pack(
    pack: Pack,
    stop: Callable[[], bool],
    save: threading.Event | None = None,
    starts: Callable[[Stage[Kind]], None] = lambda stage: None,
    ends: Callable[[Stage[Kind], Outcome], None] = lambda stage, outcome: None,
    failed: Collection[str] = (),
) -> dict[str, Outcome]:
    """Run every stage that is not finished and not in `failed`; returns what became of each.

    Raises DeviceLost after a failure that no later stage of this process could survive.
    """
    outcomes: dict[str, Outcome] = dict.fromkeys(failed, "failed")
    waiting = [stage for stage in pack.stages if stage.key not in outcomes]
    while waiting:
        left: list[Stage[Kind]] = []
        for stage in waiting:
            outcome = _turn(pack, stage, Interrupts(stop, save or threading.Event()), outcomes, starts)
            if outcome is None:
                left.append(stage)
            else:
                outcomes[stage.key] = outcome
                ends(stage, outcome)
            if outcome == "failed" and _device_is_lost():
                raise DeviceLost([key for key, one in outcomes.items() if one == "failed"])
        if len(left) == len(waiting):
            # Other processes own what is left: wait for their results, or for their claims to go stale.
            time.sleep(POLL_SECONDS)
        waiting = left
    return outcomes


def _device_is_lost() -> bool:
    """As `models.device.is_lost`, without loading torch where nothing has."""
    if "torch" not in sys.modules:
        return False
    from w2s_sweep.models.device import is_lost

    return is_lost()


def _turn(
    pack: Pack,
    stage: Stage[Kind],
    signals: Interrupts,
    outcomes: Mapping[str, Outcome],
    starts: Callable[[Stage[Kind]], None],
) -> Outcome | None:
    """One try at a stage; None when somebody else is running it or one of its inputs now."""
    store = pack.store
    if store.done(stage.key):
        _tidy(store, stage.key)
        return "done"
    if signals.stop():
        return "preempted"
    missing = [key for key in stage.inputs.values() if not store.done(key)]
    if missing:
        if any(_still_coming(pack, key, outcomes) for key in missing):
            return None
        log.warning("%s: not run, its inputs %s are missing", stage.label, ", ".join(missing))
        return "blocked"
    lease = acquire(store, stage.key)
    if lease is None:
        return None
    with lease:
        # Its last owner may have published between our first look and our claim.
        if store.done(stage.key):
            return "done"
        starts(stage)
        return run_stage(pack, stage, lease, signals)


def _tidy(store: Store, key: str) -> None:
    """Remove what a run that was killed between its publication and its end left; not while somebody is at it."""
    if not (store.work(key).is_dir() or store.claim_path(key).exists()):
        return
    lease = acquire(store, key)
    if lease is not None:
        with lease:
            store.clear_attempts(key)
            store.clear_work(key)


def _still_coming(pack: Pack, key: str, outcomes: Mapping[str, Outcome]) -> bool:
    """Whether an unfinished input is ahead of us in this pack, or is being made by another process."""
    if key in {stage.key for stage in pack.stages}:
        return key not in outcomes
    claim = read_claim(pack.store, key)
    return claim is not None and claim.alive


def run_stage(pack: Pack, stage: Stage[Kind], lease: Lease, signals: Interrupts) -> Outcome | None:
    """Run a claimed stage and publish its result; an error is recorded beside its log and goes no further.

    None where somebody else took the claim over meanwhile: nothing that this run does afterwards counts.
    """
    work = pack.store.work(stage.key)
    work.mkdir(parents=True, exist_ok=True)
    pack.store.clear_attempts(stage.key)
    with log_to(work / "log.txt"):
        log.info("start %s (%s) on %s, process %d", stage.label, stage.key, socket.gethostname(), os.getpid())
        try:
            write_json(work / "preimage.json", stage.preimage)
            (work / "failure.json").unlink(missing_ok=True)
            _make(pack, stage, lease, signals)
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


def _make(pack: Pack, stage: Stage[Kind], lease: Lease, signals: Interrupts) -> None:
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
            stage.settings.load()(Context(pack.store, stage, out, pack.run, stop, signals.save))
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
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
