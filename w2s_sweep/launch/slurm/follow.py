"""Follows a submitted sweep until every stage is finished or will never be; results come from the store alone."""

import math
import time
from collections.abc import Callable
from pathlib import Path

from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.engine import Job
from w2s_sweep.launch.progress import Progress, make_progress
from w2s_sweep.launch.slurm.lock import submission_lock
from w2s_sweep.launch.slurm.mend import mend
from w2s_sweep.launch.slurm.queued import queued_jobs, records, tasks_of
from w2s_sweep.store import read_claim

QUEUE_SECONDS = 10.0
"""Least time between two looks at SLURM's queue, which many people poll; the store is looked at more often."""


WAVE_SECONDS = 60.0
"""Least time between two submissions of what is left or lost."""


def follow(job: Job, poll_seconds: float, submit: Callable[[], set[str]] = set) -> None:
    """Show what finishes and fails; returns when nothing more will happen.

    `submit` submits what no job will make and returns the stages that one will, now or in a later wave.
    """
    submit = _seldom(submit)
    waiting = set(job.plan.keys("to run", "in flight"))
    with make_progress(job, waiting) as progress:
        asked = -QUEUE_SECONDS
        while waiting:
            waiting -= _find_finished(job, waiting, progress)
            if waiting and time.monotonic() - asked >= max(QUEUE_SECONDS, poll_seconds):
                asked = time.monotonic()
                waiting -= _gone(job, waiting, progress, submit)
            progress.tick()
            if waiting:
                time.sleep(poll_seconds)


def _seldom(submit: Callable[[], set[str]]) -> Callable[[], set[str]]:
    """The same, but what was said holds for a while."""
    asked, coming = -math.inf, set[str]()

    def again() -> set[str]:
        nonlocal asked, coming
        if time.monotonic() - asked >= WAVE_SECONDS:
            asked, coming = time.monotonic(), submit()
        return coming

    return again


def _names(path: Path) -> set[str]:
    return {p.name for p in path.iterdir()} if path.is_dir() else set()


def _find_finished(job: Job, waiting: set[str], progress: Progress) -> set[str]:
    """Stages that are in the store now; those that started since the last look get a bar."""
    there = _names(job.store.stages)
    done = {key for key in sorted(waiting & there) if job.store.is_done(key)}
    for key in sorted(waiting & _names(job.store.root / "claims") - done - progress.running.keys()):
        progress.start(key)
    for key in sorted(done):
        progress.end(key, "done")
    return done


def _alive(job: Job) -> set[str]:
    """Stages that SLURM has a job for; jobs that need somebody to let them go are let go."""
    if any(task.stalled for task in tasks_of(records(job.store)).values()):
        with submission_lock(job.store):
            mend(job.store)
    return set(queued_jobs(job.store))


def _gone(job: Job, waiting: set[str], progress: Progress, submit: Callable[[], set[str]]) -> set[str]:
    """Stages that no job and no process will finish; none while SLURM does not answer."""
    try:
        alive = _alive(job)  # before the second look at the store: a job ends after its results are there
        if idle := {key for key in waiting - alive if not _at_work(job, key)}:
            alive |= submit()
    except LaunchError as error:
        progress.console.print(f"SLURM does not answer, the next look may tell more: {error}", highlight=False)
        return set()
    gone: set[str] = set()
    for key in sorted(idle - alive):
        if _at_work(job, key):  # submitting takes seconds
            continue
        progress.end(key, "failed" if (job.store.work(key) / "failure.json").is_file() else "blocked")
        gone.add(key)
    return gone


def _at_work(job: Job, key: str) -> bool:
    """Whether a stage is done, or somebody is at it."""
    claim = read_claim(job.store, key)
    return (claim is not None and claim.alive) or job.store.is_done(key)
