"""SLURM's own commands, with errors that say what failed. A job id is never a key: ids can be used again."""

import os
import re
import shutil
import subprocess
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta

from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.slurm.stuck import explain_reason

TIMEOUT_SECONDS = 120.0
"""How long a command may take before that is an error."""
PATIENCE_SECONDS = 3.0
"""How long a question may take within `in_a_hurry`."""
_HURRY = ContextVar("hurry", default=False)
INHERITED = ("SLURM_", "SRUN_", "SQUEUE_", "SACCT_", "SCONTROL_", "SBATCH_")
"""Variables of a surrounding job or a user's shell that would change what these commands do or print (options.py)."""
KEPT = {"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT"}
"""How to reach the cluster."""
LATER_DAYS = 7
"""When tasks would begin if nobody released them; unlike those on hold, sbatch checks what such tasks request."""
BUSY = re.compile(r"Socket timed out|Zero Bytes were transmitted")
"""What commands say of a controller that is there and had no time to answer (MessageTimeout, 10 s by default)."""
LOOKS = 3
"""How often it is asked before that is an error."""
LONGEST_LINE = 3000
"""Characters of one line that scontrol reads from its standard input."""


def clean_environment() -> dict[str, str]:
    """The environment without what a surrounding job left in it (sbatch would take it as options)."""
    return {name: value for name, value in os.environ.items() if name in KEPT or not name.startswith(INHERITED)}


@contextmanager
def outside_any_job() -> Generator[None]:
    """For libraries that call SLURM's commands themselves."""
    before = dict(os.environ)
    clean = clean_environment()
    try:
        for name in before.keys() - clean.keys():
            del os.environ[name]
        yield
    finally:
        os.environ.update(before)


@contextmanager
def in_a_hurry() -> Generator[None]:
    """Within, questions (`ask`) are asked once and answered in `PATIENCE_SECONDS`, or not at all: for what is good to
    know and not needed, as in a plan."""
    before = _HURRY.set(True)
    try:
        yield
    finally:
        _HURRY.reset(before)


def available() -> bool:
    """Whether this machine has SLURM's commands."""
    return shutil.which("squeue") is not None


def run(command: Sequence[str], stdin: str | None = None, seconds: float | None = None) -> str:
    """Standard output of a SLURM command; LaunchError when it is missing, fails, or hangs for longer than `seconds`
    (`TIMEOUT_SECONDS` unless said)."""
    seconds = TIMEOUT_SECONDS if seconds is None else seconds
    if shutil.which(command[0]) is None:
        raise LaunchError(
            f"{command[0]}: not found. hydra/launcher=slurm needs SLURM's commands in PATH: run it on a login node, or "
            "use hydra/launcher=local."
        )
    try:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=clean_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise LaunchError(f"{command[0]}: no answer in {seconds:g} s. Is slurmctld up? (`scontrol ping`)") from error
    complaint = done.stderr.strip()
    if done.returncode:
        raise LaunchError(f"{' '.join(command[:4])[:200]}: {(complaint or done.stdout.strip())[-800:]}")
    return done.stdout


def ask(command: Sequence[str]) -> str:
    """As `run`, of a command that changes nothing: it may be repeated where a busy controller did not answer.

    Not sbatch or scontrol update: what these asked for may have happened all the same.
    """
    if _HURRY.get():
        return run(command, seconds=PATIENCE_SECONDS)
    for _ in range(LOOKS - 1):
        try:
            return run(command)
        except LaunchError as error:
            if BUSY.search(str(error)) is None:
                raise
    return run(command)


def show(what: str, *flags: str) -> list[dict[str, str]]:
    """`scontrol show` of all nodes, partitions, ...: of each its fields; empty where SLURM does not show them."""
    try:
        lines = ask(["scontrol", *flags, "show", what, "--oneliner"]).splitlines()
    except LaunchError:  # what is wrong with SLURM, sbatch will tell
        return []
    return [{name: said for name, _, said in (word.partition("=") for word in line.split())} for line in lines]


@dataclass(frozen=True)
class QueuedTask:
    """One line of squeue."""

    job: str
    """`ARRAY_TASK`, or the job id."""
    name: str
    state: str
    reason: str
    left: str
    """Time left, as SLURM writes it."""
    starts: str = "N/A"
    """When it started, or may start at the earliest, as SLURM writes it."""

    @property
    def leaving(self) -> bool:
        """Its processes are being ended: it will be gone, or queued again, in a moment."""
        return self.state == "COMPLETING"

    @property
    def running_seconds(self) -> float:
        """Since when it runs, as SLURM has it; 0 where it does not."""
        if self.state != "RUNNING":
            return 0.0
        try:
            return (datetime.now() - datetime.fromisoformat(self.starts)).total_seconds()
        except ValueError:
            return 0.0

    @property
    def unreleased(self) -> bool:
        """It waits for a release: the time at which it would begin is days ahead."""
        try:
            begins = datetime.fromisoformat(self.starts)
        except ValueError:
            return False
        # "None": submitted a moment ago, and not looked at by SLURM so far
        waits = self.state == "PENDING" and self.reason in ("None", "BeginTime", "Dependency")
        return waits and begins > datetime.now() + timedelta(days=LATER_DAYS / 2)

    @property
    def launch_failed(self) -> bool:
        """SLURM could not start it and holds it until `scontrol release`."""
        return self.state == "PENDING" and "held" in self.reason and "launch" in self.reason

    @property
    def stuck(self) -> str:
        """Why it may wait for ever, and what to do; empty where it just waits its turn."""
        if self.state != "PENDING":
            return ""
        return explain_reason(self.reason)

    @property
    def stalled(self) -> bool:
        """It will not start unless somebody does something (mend.py)."""
        return self.unreleased or self.launch_failed


def queue(users: Iterable[str] = ()) -> dict[str, QueuedTask]:
    """The unfinished tasks of some users (without names: our own), by job; one call however many there are."""
    whose = ["--user", ",".join(users)] if (users := sorted(users)) else ["--me"]
    # --array: squeue shows the pending tasks of an array as one line otherwise.
    text = ask(["squeue", "--noheader", "--array", *whose, "--format=%F|%K|%j|%T|%r|%L|%S"])
    found: dict[str, QueuedTask] = {}
    for line in text.splitlines():
        array, task, name, state, reason, left, starts = line.split("|", 6)
        job = array if task in ("N/A", "") else f"{array}_{task}"
        found[job] = QueuedTask(job, name, state, reason, left, starts)
    return found


def endings(jobs: Mapping[str, str]) -> dict[str, str]:
    """How jobs (id -> start of its name) ended, from accounting; empty where the cluster keeps none."""
    if not jobs or shutil.which("sacct") is None:
        return {}
    columns = "JobID,JobName%60,State,ExitCode"
    found: dict[str, str] = {}
    for chunk in chunks(sorted(jobs), 500):
        listed = ",".join(chunk)
        try:
            text = ask(["sacct", "--noheader", "--allocations", "--parsable2", f"--format={columns}", "-j", listed])
        except LaunchError:  # "Slurm accounting storage is disabled": the store and the queue suffice
            return {}
        for row in (line.split("|") for line in text.splitlines()):
            if len(row) == 4 and row[0] in jobs and row[1].startswith(jobs[row[0]]):
                found[row[0]] = f"{row[2]} (exit {row[3]})"
    return found


@dataclass(frozen=True)
class ClusterConfig:
    """What of the cluster's configuration matters here."""

    name: str
    max_array_size: int
    """The most tasks an array may have (MaxArraySize: one more than the highest index)."""
    hides_jobs: bool
    """Whether squeue shows users their own jobs alone (PrivateData=jobs)."""


def cluster_config() -> ClusterConfig:
    """The configuration of the cluster that commands reach from here."""
    lines = (line.partition("=") for line in ask(["scontrol", "show", "config"]).splitlines())
    found = {name.strip(): value.strip() for name, _, value in lines}
    hidden = {word.strip() for word in found.get("PrivateData", "").split(",")}
    return ClusterConfig(
        found.get("ClusterName", ""), max(1, int(found.get("MaxArraySize", 1001))), bool(hidden & {"jobs", "all"})
    )


def submit_limit(user: str, account: str | None) -> int | None:
    """The most jobs that a user may have submitted at once, from accounting; None where it says none."""
    if shutil.which("sacctmgr") is None:
        return None
    whose = [f"user={user}", *([f"account={account}"] if account else [])]
    columns = "format=MaxSubmitJobs,GrpSubmitJobs"
    try:
        text = run(["sacctmgr", "--noheader", "--parsable2", "show", "assoc", "where", *whose, columns])
    except LaunchError:  # no accounting, or it shows users nothing
        return None
    limits = [int(word) for line in text.splitlines() for word in line.split("|") if word.isdigit()]
    return min(limits, default=None)


def forbidden(error: LaunchError) -> bool:
    """Whether a site refuses changes of jobs as such (a job_submit plugin), not this change of this job."""
    return re.search(r"denied|disabled|not permitted|not allowed|Unspecified error", str(error)) is not None


def set_dependencies(wanted: Mapping[str, str]) -> None:
    """Give pending tasks their dependencies; tasks must stand after those they wait for.

    The last is set first. In the other order SLURM 22.05 refuses a chain of three tasks of one array as circular: it
    takes a task that has no record of its own yet for the whole array.
    """
    _update([f"jobid={job} dependency={text}" for job, text in reversed(list(wanted.items()))])


def release(jobs: Iterable[str]) -> None:
    """Let jobs or arrays run that were submitted for later."""
    _update([f"jobid={job} starttime=now" for job in jobs])


def unhold(jobs: Iterable[str]) -> None:
    """Let tasks run again that SLURM itself has put on hold."""
    _run_batch([f"release {job}\n" for job in jobs])


def requeue(jobs: Iterable[str]) -> None:
    """End running tasks and queue them again under their ids, so that what depends on them goes on waiting."""
    _run_batch([f"requeue {job}\n" for job in jobs])


def _update(changes: Sequence[str]) -> None:
    """Change jobs, in this order; as many changes as possible through one scontrol process."""
    batch: list[str] = []
    for change in changes:
        if len(change) <= LONGEST_LINE:
            batch.append(f"update {change}\n")
            continue
        _run_batch(batch)
        batch.clear()
        run(["scontrol", "update", *change.split()])
    _run_batch(batch)


def _run_batch(lines: Sequence[str]) -> None:
    if lines:
        run(["scontrol"], stdin="".join([*lines, "quit\n"]))


def cancel(jobs: Sequence[str]) -> None:
    """End queued and running tasks."""
    for chunk in chunks(jobs, 500):
        run(["scancel", *chunk])


def chunks(jobs: Sequence[str], size: int) -> list[Sequence[str]]:
    """Parts short enough for a command line."""
    return [jobs[start : start + size] for start in range(0, len(jobs), size)]
