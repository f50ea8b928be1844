"""Which stages wait or run in the cluster's queue: records written at submission, believed only while SLURM agrees.

STORE/queued/TOKEN.json holds one submission: its state, its tasks and their stages. A task is known by its job's id and
by the token in the job's name, since ids can be used again. STORE/queued/jobs/NAME-JOB.json is what a job says of
itself, for those who cannot see it in their squeue: other users where jobs are private (PrivateData=jobs), and other
clusters on the same file system. Not to be seen is not to be gone.
"""

import getpass
import os
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_sweep.errors import StoreError
from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.commands import QueuedTask
from w2s_sweep.store import Store
from w2s_sweep.store.claim import file_system_now, slurm_job
from w2s_sweep.store.files import read_json, time_written, write_json

UNSEEN_SECONDS = 7 * 86_400.0
"""How long a job that cannot be seen is believed in, without a word from it."""
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
    cluster: str = ""
    """Empty in records of earlier versions."""


def folder_of(store: Store) -> Path:
    return store.root / "queued"


def submissions(store: Store) -> dict[Path, dict[str, Any]]:
    """What was written about the submissions of which something may still be in the queue, the oldest first."""
    folder = folder_of(store)
    paths = list(folder.glob("*.json")) if folder.is_dir() else []
    found = {path: read_json(path) for path in sorted(paths, key=time_written)}
    return {path: record for path, record in found.items() if record is not None}


def records(store: Store) -> dict[str, Record]:
    """Stage -> the job that was submitted for it last."""
    found: dict[str, Record] = {}
    for one in submissions(store).values():
        if one["state"] == "cancelled":
            continue
        for task in one.get("tasks", ()):
            record = Record(
                task["job"], f"w2s-{one['token']}-", one["sweep"], one["user"], one["submitted"], one.get("cluster", "")
            )
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
    LaunchError where SLURM does not answer.
    """
    known = records(store)
    seen = {key: task.job for key, task in tasks_of(known).items()}
    # Jobs of other clusters are not among them: nothing here can wait for them. Whoever comes second to a stage waits
    # for the first by its claim.
    away = unseen(store, known)
    hidden = {key: known[key].job for key, why in away.items() if key not in seen and why == PRIVATE}
    return {key: job for key, job in (seen | hidden).items() if not failed_since(store, key, known[key])}


PRIVATE = "jobs of other users are private on this cluster"


def unseen(store: Store, known: Mapping[str, Record]) -> dict[str, str]:
    """Stage -> why its job cannot be seen from here, of the jobs that have not said that they ended."""
    me = getpass.getuser()
    if not any(record.user != me or record.cluster for record in known.values()):
        return {}
    cluster = commands.cluster_config()
    found: dict[str, str] = {}
    for key, record in known.items():
        if record.cluster and cluster.name and record.cluster != cluster.name:
            found[key] = f"it was submitted to the cluster {record.cluster}, this is {cluster.name}"
        elif record.user != me and cluster.hides_jobs:
            found[key] = PRIVATE
    if not found:
        return {}
    now, said = file_system_now(folder_of(store)), _said_by_jobs(store)
    over = {record: _is_over(record, said, now) for record in {known[key] for key in found}}
    return {key: why for key, why in found.items() if not over[known[key]]}


def _said_by_jobs(store: Store) -> Mapping[tuple[str, str], list[Path]]:
    """Start of a job's name and its id -> what it says of itself. One look at the folder, however many jobs."""
    folder = folder_of(store) / "jobs"
    found: dict[tuple[str, str], list[Path]] = defaultdict(list)
    paths: list[Path] = []
    with suppress(OSError):  # no job has said anything so far, or it is not for us to read
        paths = list(folder.iterdir())
    for path in paths:
        name, _, job = path.stem.rpartition("-")
        found["-".join([*name.split("-")[:2], ""]), job].append(path)
    return found


def _is_over(record: Record, found: Mapping[tuple[str, str], list[Path]], now: float) -> bool:
    """Whether a job has said that it ended, or has said nothing for so long that it is not believed in any more."""
    said = found.get((record.name, record.job), [])
    states = [state for path in said if (state := read_json(path)) is not None]
    last = max([record.submitted, *(time_written(path) for path in said)])
    return any(state.get("state") == "ended" for state in states) or now - last > UNSEEN_SECONDS


def say_state(store: Store, state: str) -> None:
    """Write down what the job that this process runs in is doing; a job that cannot goes on all the same."""
    name, job = os.environ.get("SLURM_JOB_NAME", ""), slurm_job()
    if job is None or not name.startswith("w2s-") or "/" in name:
        return
    record = {
        "state": state,
        "job": job,
        "cluster": os.environ.get("SLURM_CLUSTER_NAME", ""),
        "host": os.uname().nodename,
    }
    store.give_group_rights()
    with suppress(OSError, StoreError):
        write_json(folder_of(store) / "jobs" / f"{name}-{job}.json", record)


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
    known = {path: record for path, record in submissions(store).items() if time_written(path) < old}
    if not known:
        return
    alive = commands.queue({str(record["user"]) for record in known.values()}).values()
    tasks = records(store)
    hidden = {tasks[key].name for key in unseen(store, tasks)}
    for path, record in known.items():
        name = f"w2s-{record['token']}-"
        if name in hidden or any(task.name.startswith(name) for task in alive):
            continue
        with suppress(PermissionError):  # another user's, in a store whose folders are sticky
            path.unlink(missing_ok=True)
            for said in (folder_of(store) / "jobs").glob(f"{name}*.json"):
                said.unlink(missing_ok=True)


def cancelled_jobs(store: Store) -> set[str]:
    """Jobs that were cancelled on purpose, of sweeps that were not submitted again since."""
    marks = (read_json(path) or {} for path in (store.root / "sweeps").glob("*/cancelled.json"))
    return {str(job) for mark in marks for job in mark.get("jobs", ())}


def cancelled_mark(store: Store, sweep: str) -> Path:
    """A file that marks a sweep as cancelled: it needs nothing any more."""
    return store.sweep(sweep) / "cancelled.json"
