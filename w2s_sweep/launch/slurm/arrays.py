"""Job arrays: one sbatch call each, for later, named by a token; of a task only the path of its job file is pickled.

Every option stands in the script, for people, and on sbatch's command line, where nothing can overrule it.
"""

import dataclasses
import os
import shlex
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import DelayedSubmission, FailedJobError, FailedSubmissionError, JobPaths

from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.engine import Job
from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.job import run_job
from w2s_sweep.launch.slurm.options import rewrite, words_of
from w2s_sweep.launch.slurm.refused import explain_refusal
from w2s_sweep.launch.slurm.resources import Ask
from w2s_sweep.launch.slurm.script import import_from
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.plan.packs import Pack
from w2s_sweep.store.sharing import refuse_unsafe


def group_packs(packs: Sequence[tuple[Pack, Ask]], most: int) -> list[tuple[Ask, list[Pack]]]:
    """One array for each set of resources, cut at `most` tasks."""
    # submitit sends any number of tasks as one array; sbatch refuses more than MaxArraySize of them
    # (facebookincubator/submitit#1624).
    by_ask: dict[Ask, list[Pack]] = {}
    for pack, ask in packs:
        by_ask.setdefault(ask, []).append(pack)
    return [(ask, chunk[i : i + most]) for ask, chunk in by_ask.items() for i in range(0, len(chunk), most)]


class _Executor(submitit.SlurmExecutor):
    """submitit's, with free options of sbatch and all options on its command line."""

    ask: Ask

    def script(self, tasks: int) -> str:
        """What sbatch would be given for so many tasks."""
        more = {"map_count": tasks} if tasks > 1 else {}
        before, self.parameters = self.parameters, self.parameters | more
        try:
            return self._make_submission_file_text(self._submitit_command_str, "")
        finally:
            self.parameters = before

    def _make_submission_file_text(self, command: str, uid: str) -> str:
        text = super()._make_submission_file_text(command, uid)
        return rewrite(text, self.ask.options, dataclasses.asdict(self.ask))

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        return ["sbatch", *words_of(submission_file_path.read_text()), str(submission_file_path)]

    def _internal_process_submissions(self, delayed_submissions: list[DelayedSubmission]) -> list[Any]:
        if len(delayed_submissions) == 1:
            return super()._internal_process_submissions(delayed_submissions)
        # As submitit does it, which submits arrays with an executor of its own class, whatever the class of this one.
        folder = JobPaths.get_first_id_independent_folder(self.folder)
        pickles = [folder / f"{uuid.uuid4().hex}.pkl" for _ in delayed_submissions]
        for submission, path in zip(delayed_submissions, pickles, strict=True):
            submission.set_timeout(self.parameters["time"], self.max_num_timeout)
            submission.dump(path)
        self.parameters["map_count"] = len(pickles)
        try:
            first = self._submit_command(self._submitit_command_str)
        finally:
            del self.parameters["map_count"]
        jobs = [
            self.job_class(folder=self.folder, job_id=f"{first.job_id}_{i}", tasks=[0]) for i in range(len(pickles))
        ]
        for job, path in zip(jobs, pickles, strict=True):
            job.paths.move_temporary_file(path, "submitted_pickle")
        return jobs


def submit_array(
    job: Job, packs: Sequence[Pack], ask: Ask, settings: Settings, code: Path, name: str, waits: str = ""
) -> list[str]:
    """Submit tasks, one for each pack; returns their job ids in the same order.

    They wait to be released; in the plain mode they wait for nothing but `waits`, a dependency.
    """
    with ThreadPoolExecutor(16) as pool:  # each write waits for the disk
        specs = list(pool.map(job.write_spec, packs))
    folder = _folder(job)
    folder.mkdir(mode=0o700, exist_ok=True)
    # Tasks unpickle what submitit writes here: whoever could write to it could run code as their owner.
    os.chmod(folder, 0o700)
    refuse_unsafe(job.store, folder)
    executor = _executor(job, ask, settings, code, name, waits)
    try:
        # submitit prints what sbatch says as well.
        with commands.outside_any_job(), redirect_stderr(StringIO()), executor.batch():
            tasks = [executor.submit(run_job, str(spec), settings.stages_per_gpu - 1) for spec in specs]
    except (FailedJobError, FailedSubmissionError) as error:
        said = explain_refusal(str(error), ask.partition)
        raise LaunchError(f"sbatch refused {len(packs)} tasks with {ask}: {said}") from error
    return [task.job_id for task in tasks]


def scripts_of(job: Job, arrays: Sequence[tuple[Ask, Sequence[Pack]]], settings: Settings, code: Path) -> Iterator[str]:
    """The scripts that a submission would give to sbatch; nothing is written."""
    for number, (ask, packs) in enumerate(arrays):
        yield _executor(job, ask, settings, code, f"w2s-TOKEN-{number}").script(len(packs))


def _folder(job: Job) -> Path:
    return job.folder / "jobs" / "submitit"


def _executor(job: Job, ask: Ask, settings: Settings, code: Path, name: str, waits: str = "") -> _Executor:
    folder = _folder(job)
    executor = _Executor(folder=folder, python=settings.python)
    executor.ask = ask
    # submitit pauses 0.2 s between submissions, for people who submit job by job in a loop; these are few arrays.
    executor._throttling = 0.0  # pyright: ignore[reportPrivateUsage]
    executor.update_parameters(
        job_name=name,
        time=ask.minutes,
        cpus_per_task=ask.cpus,
        mem=f"{ask.memory_gb}GB",
        array_parallelism=settings.max_parallel,
        signal_delay_s=settings.signal_seconds,
        setup=[*settings.setup, *_environment(code, ask, settings)],
        teardown=_teardown(settings, ask, code, folder),
        stderr_to_stdout=True,
        additional_parameters=_start(settings, waits)
        | {
            # Else a task whose input failed would stay in the queue for ever (DependencyNeverSatisfied).
            "kill-on-invalid-dep": "yes",
            "requeue": True,
            "chdir": str(code),
        },
        **({"gpus_per_node": ask.gpus} if ask.gpus else {}),
    )
    return executor


def _start(settings: Settings, waits: str) -> dict[str, str]:
    """When tasks may start."""
    if settings.plain:
        return {"dependency": waits} if waits else {}
    # Not --hold: of held jobs sbatch does not check whether any node could ever run them, and a wrong request would be
    # found after the release, by nobody.
    return {"begin": f"now+{commands.LATER_DAYS}days"}


def _environment(code: Path, ask: Ask, settings: Settings) -> list[str]:
    beside = settings.stages_per_gpu
    # Read by models/device.py, which refuses to compute on a CPU where a task was given a GPU.
    ranks = f" W2S_RANKS={ask.gpus}" if ask.gpus > 1 and beside == 1 else ""
    given = [f"export W2S_GPUS={ask.gpus} W2S_STAGES_PER_GPU={beside}{ranks}"] if ask.gpus else []
    watched = [f"export W2S_STALL_MINUTES={settings.stall_minutes:g}"] if settings.stall_minutes else []
    return [import_from(code), *given, *watched]


def _teardown(settings: Settings, ask: Ask, code: Path, folder: Path) -> list[str]:
    longest = min(settings.max_minutes, ask.most_minutes or settings.max_minutes)
    script = code / "w2s_sweep" / "launch" / "slurm" / "requeue.sh"
    words = [folder, longest, settings.time_retries, settings.memory_retries, settings.signal_seconds]
    return [f"source {shlex.quote(str(script))} $? {' '.join(shlex.quote(str(word)) for word in words)}"]
