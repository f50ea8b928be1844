"""Puts right what dead submitters and a crashed controller left in the queue.

A controller that crashes comes back with the queue of up to some seconds ago: tasks that were released may wait for
their release again, without their dependencies; those that were cancelled may be back; and those that are gone were
never submitted as far as SLURM knows. The records of the store hold what was meant. Tasks that are gone are lost, and
submitted again; they need no mending. Where SLURM has lost the end of a task, it takes the task for running until its
time limit, and what depends on it waits as long. Such a task is queued again, finds everything done and ends.
"""

import getpass
import re
from collections.abc import Mapping, Sequence
from typing import Any

from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.commands import QueuedTask
from w2s_sweep.launch.slurm.queued import submissions
from w2s_sweep.store import Store
from w2s_sweep.store.claim import file_system_now
from w2s_sweep.store.files import write_json

OVER_SECONDS = 120.0
"""A task ends in some seconds after its last stage; one that has not done so by now will not."""


def mend(store: Store) -> list[str]:
    """To be called by whoever holds the submission lock; returns what was done, a line for each submission.

    Tasks nobody wrote down, or that were cancelled before, are cancelled. Those that were written down are released if
    they still wait for that, and if SLURM holds them after a launch that failed. All this for our own submissions:
    SLURM refuses it for those of other users, and one of theirs that died must not keep us from submitting.
    """
    everybodys = submissions(store)
    known = {path: record for path, record in everybodys.items() if record["user"] == getpass.getuser()}
    alive = commands.queue({str(record["user"]) for record in everybodys.values()}) if known else {}
    # Tasks of other users count as well: ours may depend on them.
    names = {f"w2s-{record['token']}-" for record in everybodys.values()}
    ours = {job: task for job, task in alive.items() if task.name.startswith(tuple(names))}
    said: list[str] = []
    for path, record in known.items():
        jobs = {job: task for job, task in ours.items() if task.name.startswith(f"w2s-{record['token']}-")}
        if record["state"] in ("submitting", "cancelled"):
            # Also where the record says cancelled: a controller that crashed may have brought the tasks back since.
            commands.cancel(list(jobs))
            if record["state"] != "cancelled":
                write_json(path, record | {"state": "cancelled"})
            said += [f"{len(jobs)} jobs were cancelled: their submission did not come to its end"] if jobs else []
        else:
            said += _let_go(record, jobs, ours)
            said += _end(store, record, jobs)
            if record["state"] == "held":
                write_json(path, record | {"state": "submitted"})
    return said


def _let_go(record: Mapping[str, Any], jobs: Mapping[str, QueuedTask], alive: Mapping[str, QueuedTask]) -> list[str]:
    """Release the tasks of a submission, with the dependencies they were to have on tasks that are still there."""
    wanted = {str(task["job"]): str(task["dependency"]) for task in record["tasks"]}
    forgotten = [job for job in wanted if job in jobs and jobs[job].unreleased]
    held = [job for job in wanted if job in jobs and jobs[job].launch_failed]
    if forgotten:
        # Dependencies before the release, as at submission: a task without them could start at once, inputs or not.
        left = {job: _still_there(wanted[job], alive) for job in forgotten}
        commands.set_dependencies({job: text for job, text in left.items() if text})
        commands.release(forgotten)
    kept = held and not _unhold(held)
    count = len(forgotten) + (0 if kept else len(held))
    said = [f"{count} jobs were released: an earlier submission or SLURM's controller died before"] if count else []
    return [
        *said,
        *(
            [f"{len(held)} jobs were cancelled: SLURM holds them, and the site lets nobody release them"]
            if kept
            else []
        ),
    ]


def _unhold(jobs: Sequence[str]) -> bool:
    """Whether tasks were taken off hold; where a site forbids that they are cancelled, and are lost."""
    try:
        commands.unhold(jobs)
    except LaunchError as error:
        if not commands.forbidden(error):
            raise
        commands.cancel(jobs)
        return False
    return True


def _end(store: Store, record: Mapping[str, Any], jobs: Mapping[str, QueuedTask]) -> list[str]:
    """Queue the tasks again that SLURM takes for running although all their stages were done long ago."""
    now = file_system_now(store.stages)
    hanging = [
        job
        for task in record["tasks"]
        if (job := str(task["job"])) in jobs
        and jobs[job].running_seconds > OVER_SECONDS
        and _is_over(store, task["stages"], now)
    ]
    if hanging:
        # Not scancel: what depends on the task with afterok would be cancelled with it. Run again, it ends well.
        commands.requeue(hanging)
    return [f"{len(hanging)} jobs that did not end after their stages were queued again"] if hanging else []


def _is_over(store: Store, stages: Sequence[str], now: float) -> bool:
    try:
        return all(now - store.path(key).stat().st_mtime > OVER_SECONDS and store.is_done(key) for key in stages)
    except FileNotFoundError:
        return False


def _still_there(dependency: str, alive: Mapping[str, QueuedTask]) -> str:
    """The parts of a dependency on jobs that SLURM still has; a task looks at its inputs itself."""
    parts = re.findall(r"(\w+):([^,:]+)", dependency)
    return ",".join(f"{kind}:{job}" for kind, job in parts if job in alive)
