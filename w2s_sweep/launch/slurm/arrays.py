"""Job arrays: one sbatch call each, for later, named by a token; of a task only the path of its job file is pickled."""

import os
import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.engine import Job
from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.job import run_job
from w2s_sweep.launch.slurm.resources import Ask
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.plan.packs import Pack


def grouped(packs: Sequence[tuple[Pack, Ask]], most: int) -> list[tuple[Ask, list[Pack]]]:
    """One array for each set of resources, cut at `most` tasks."""
    # submitit sends any number of tasks as one array; sbatch refuses more than MaxArraySize of them
    # (facebookincubator/submitit#1624).
    by_ask: dict[Ask, list[Pack]] = {}
    for pack, ask in packs:
        by_ask.setdefault(ask, []).append(pack)
    return [(ask, chunk[i : i + most]) for ask, chunk in by_ask.items() for i in range(0, len(chunk), most)]


def submit_array(job: Job, packs: Sequence[Pack], ask: Ask, settings: Settings, code: Path, name: str) -> list[str]:
    """Submit tasks that wait to be released, one for each pack; returns their job ids in the same order."""
    with ThreadPoolExecutor(16) as pool:  # each write waits for the disk
        specs = list(pool.map(job.write_spec, packs))
    folder = job.folder / "jobs" / "submitit"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Tasks unpickle what submitit writes here: whoever could write to it could run code as their owner.
    os.chmod(folder, 0o700)
    executor = submitit.SlurmExecutor(folder=folder, python=settings.python)
    # submitit pauses 0.2 s between submissions, for people who submit job by job in a loop; these are few arrays.
    executor._throttling = 0.0  # pyright: ignore[reportPrivateUsage]
    executor.update_parameters(
        job_name=name,
        time=ask.minutes,
        cpus_per_task=ask.cpus,
        mem=f"{ask.memory_gb}GB",
        array_parallelism=settings.max_parallel,
        signal_delay_s=settings.signal_seconds,
        setup=[*settings.setup, *_environment(code, ask, settings.stages_per_gpu)],
        teardown=_teardown(settings, code, folder),
        stderr_to_stdout=True,
        additional_parameters={
            # Not --hold: of held jobs sbatch does not check whether any node could ever run them, and a wrong request
            # would be found after the release, by nobody.
            "begin": f"now+{commands.LATER_DAYS}days",
            # Else a task whose input failed would stay in the queue for ever (DependencyNeverSatisfied).
            "kill-on-invalid-dep": "yes",
            "requeue": True,
            "chdir": str(code),
        },
        **_chosen(settings, ask),
    )
    try:
        with commands.outside_any_job(), executor.batch():
            tasks = [executor.submit(run_job, str(spec), settings.stages_per_gpu - 1) for spec in specs]
    except (FailedJobError, FailedSubmissionError) as error:
        raise LaunchError(f"sbatch refused {len(packs)} tasks with {ask}: {str(error).strip()[-800:]}") from error
    return [task.job_id for task in tasks]


def _environment(code: Path, ask: Ask, beside: int) -> list[str]:
    # Read by models/device.py, which refuses to compute on a CPU where a task was given a GPU.
    given = [f"export W2S_GPUS={ask.gpus} W2S_STAGES_PER_GPU={beside}"] if ask.gpus else []
    return [f"export PYTHONPATH={shlex.quote(str(code))}${{PYTHONPATH:+:$PYTHONPATH}}", *given]


def _teardown(settings: Settings, code: Path, folder: Path) -> list[str]:
    script = code / "w2s_sweep" / "launch" / "slurm" / "requeue.sh"
    words = [folder, settings.max_minutes, settings.time_retries, settings.memory_retries, settings.signal_seconds]
    return [f"source {shlex.quote(str(script))} $? {' '.join(shlex.quote(str(word)) for word in words)}"]


def _chosen(settings: Settings, ask: Ask) -> dict[str, Any]:
    named = {name: getattr(settings, name) for name in ("partition", "account", "qos", "constraint")}
    gpus = {"gpus_per_node": ask.gpus} if ask.gpus else {}
    return {name: value for name, value in named.items() if value is not None} | gpus
