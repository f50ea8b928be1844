"""Which stages wait or run in the cluster's queue: records written at submission, believed only while SLURM agrees.

STORE/queued/TOKEN.json holds one submission: its state, its tasks and their stages. A task is known by its job's id and
by the token in the job's name, since ids can be used again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.commands import QueuedTask
from w2s_sweep.store import Store
from w2s_sweep.store.claim import file_system_now
from w2s_sweep.store.files import read_json

RETURN_SECONDS = 300.0
"""A controller that crashes may bring back tasks that had ended or were cancelled some seconds before."""


@dataclass(frozen=True)
class Record:
    """The job that was submitted for a stage."""

    job: str
    name: str
    """Start of the job's name, with the submission's token."""
    sweep: str
    user: str
    submitted: float
    """On the file system's clock."""


def folder_of(store: Store) -> Path:
    return store.root / "queued"


def submissions(store: Store) -> dict[Path, dict[str, Any]]:
    """What was written about the submissions of which something may still be in the queue, the oldest first."""
    folder = folder_of(store)
    paths = list(folder.glob("*.json")) if folder.is_dir() else []
    found = {path: read_json(path) for path in sorted(paths, key=_written)}
    return {path: record for path, record in found.items() if record is not None}


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # removed meanwhile
        return 0.0


def records(store: Store) -> dict[str, Record]:
    """Stage -> the job that was submitted for it last."""
    found: dict[str, Record] = {}
    for one in submissions(store).values():
        if one["state"] == "cancelled":
            continue
        for task in one.get("tasks", ()):
            record = Record(task["job"], f"w2s-{one['token']}-", one["sweep"], one["user"], one["submitted"])
            found |= dict.fromkeys(task["stages"], record)
    return found


def tasks_of(known: Mapping[str, Record]) -> dict[str, QueuedTask]:
    """Stage -> the task SLURM has for it now, of the stages in `known`; one look at the queue."""
    if not known:
        return {}
    # The id alone proves nothing: ids begin again after MaxJobId, and a controller that has lost its latest state gives
    # them out a second time. The name carries the token of the submission.
    alive = commands.queue({record.user for record in known.values()})
    return {
        key: task
        for key, record in known.items()
        if (task := alive.get(record.job)) is not None and task.name.startswith(record.name)
    }


def queued_jobs(store: Store) -> dict[str, str]:
    """Stage -> job that will run or runs it, of the jobs that SLURM still has.

    A stage that has failed since its job was submitted is not among them, though its job may still run others.
    """
    known = records(store)
    return {key: task.job for key, task in tasks_of(known).items() if not failed_since(store, key, known[key])}


def failed_since(store: Store, key: str, record: Record) -> bool:
    """Whether the stage failed after its job was submitted."""
    try:
        return (store.work(key) / "failure.json").stat().st_mtime >= record.submitted
    except FileNotFoundError:
        return False


def forget_ended(store: Store) -> None:
    """Remove the records of submissions of which SLURM has nothing left, and will not have again.

    To be called by whoever holds the submission lock. The sweep's folder keeps its own copy of the record.
    """
    # A young record stays, whatever the queue says: only it explains tasks that a crashed controller brings back.
    old = file_system_now(folder_of(store)) - RETURN_SECONDS if folder_of(store).is_dir() else 0.0
    known = {path: record for path, record in submissions(store).items() if _written(path) < old}
    if not known:
        return
    alive = commands.queue({str(record["user"]) for record in known.values()}).values()
    for path, record in known.items():
        if not any(task.name.startswith(f"w2s-{record['token']}-") for task in alive):
            path.unlink(missing_ok=True)


def cancelled_mark(store: Store, sweep: str) -> Path:
    """A file that marks a sweep as cancelled: it needs nothing any more."""
    return store.sweep(sweep) / "cancelled.json"
