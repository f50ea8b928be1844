"""The last job of a sweep that nobody waits for: once all its jobs have ended, well or not, it writes the results and
mirrors them. It trains nothing, and a sweep without it has lost nothing: `w2s push` does the same at any time.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.engine import Job
from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.options import PASSED_ON, adopt_environment, words_of
from w2s_sweep.launch.slurm.queued import queued_jobs, records
from w2s_sweep.launch.slurm.script import script_of
from w2s_sweep.launch.slurm.settings import PLACES, Settings
from w2s_sweep.launch.slurm.snapshot import take_snapshot
from w2s_sweep.store.files import write_text
from w2s_sweep.tracking import NoTracker

MINUTES, MEMORY_GB = 60, 4


def submit_last(job: Job, settings: Settings) -> str:
    """Submit it; returns what to tell, empty where there is nothing to mirror or to wait for."""
    wanted = set(job.plan.graph.stages)
    jobs = {one for key, one in queued_jobs(job.store).items() if key in wanted}
    if job.sweep.tracker.name == NoTracker.name or not jobs:
        return ""
    code, _ = take_snapshot(job.store, job.folder, job.sweep.modules)
    path = job.folder / "jobs" / "last.sh"
    write_text(path, script(job, settings, code, waits_for(job, jobs)))
    try:
        number = commands.run(["sbatch", *words_of(path.read_text()), str(path)]).split()[-1]
    except LaunchError as error:  # the sweep itself is on its way
        return f"no job mirrors the sweep at its end ({error}). `w2s push {job.name}` does"
    return f"job {number} mirrors the sweep to {job.sweep.tracker.name} when its jobs have ended"


def waits_for(job: Job, jobs: Iterable[str]) -> str:
    """A dependency on the end of jobs; our own arrays are named as a whole, since there may be a thousand tasks."""
    own = {record.job for record in records(job.store).values() if record.sweep == job.name}
    names = {one.partition("_")[0] if one in own else one for one in jobs}
    return ":".join(["afterany", *sorted(names)])


def script(job: Job, settings: Settings, code: Path, dependency: str) -> str:
    """What sbatch gets."""
    here, _ = adopt_environment(settings)
    placed: dict[str, object] = {name: getattr(here, name) for name in PLACES}
    placed |= {name: (here.sbatch or {}).get(name) for name in PASSED_ON if (here.sbatch or {}).get(name) is not None}
    options = {
        "job-name": f"w2s-push-{hashlib.sha256(job.name.encode()).hexdigest()[:8]}",
        "dependency": dependency,
        "time": MINUTES,
        "mem": f"{MEMORY_GB}GB",
        "cpus-per-task": 1,
        "output": job.folder / "jobs" / "last.log",
        **{name: value for name, value in placed.items() if value is not None},
    }
    words = ["-m", "w2s_sweep.cli", "--store", str(job.store.root), "push", job.name]
    return script_of(settings, code, options, words)
