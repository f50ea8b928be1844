"""A stand-in for SLURM's controller: it knows tasks, why they wait, and who must be cancelled; nothing ever runs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")
GONE = "Unable to contact slurm controller (connect failure)"


class Refusal(Exception):
    """What a command says on standard error before it ends with status 1."""


@dataclass(frozen=True)
class Call:
    """A command as it was given."""

    program: str
    arguments: Sequence[str]
    stdin: str = ""
    variables: frozenset[str] = frozenset()
    """Names of what was in its environment."""

    def __str__(self) -> str:
        return " ".join([self.program, *self.arguments, self.stdin])


@dataclass
class Fault:
    """Commands that hold `words` fail, `times`, but not the first `after`."""

    words: str
    error: str
    times: int
    after: int


@dataclass
class Task:
    """A job without tasks, or one task of an array."""

    array: int
    index: int | None
    name: str
    user: str
    minutes: int
    memory_mb: int
    gpus: int
    throttle: int
    """Most tasks of the array that run at once."""
    kill: bool
    """Cancelled when what it depends on can never be fulfilled; it waits for ever otherwise."""
    requeue: bool
    dependency: str
    begin: datetime | None
    held: str
    """Reason why it is on hold."""
    state: str = "PENDING"
    exit: str = "0:0"
    started: datetime | None = None
    restarts: int = 0

    def __post_init__(self) -> None:
        self.apart = self.index is None
        """Whether it was ever changed alone: until then, SLURM keeps an array as one record."""

    @property
    def job(self) -> str:
        return str(self.array) if self.index is None else f"{self.array}_{self.index}"

    @property
    def begins(self) -> datetime | None:
        return self.begin if self.begin is not None and self.begin > datetime.now() else None


@dataclass
class Controller:
    """The queue, and what a test wants of the cluster."""

    me: str
    cluster: str = "stand-in"
    private: bool = False
    """PrivateData=jobs: users see their own jobs alone."""
    max_array: int = 1001
    max_submit: int | None = None
    """MaxSubmitJobs of the user's association."""
    fixed: bool = False
    """Whether a plugin of the site refuses every change of a job."""
    partitions: dict[str, dict[str, str]] = field(default_factory=lambda: {"main": {"Default": "YES"}})
    """Limits of each, in SLURM's words."""
    nodes: list[str] = field(default_factory=list)
    """Lines of `scontrol --detail show node --oneliner`, as SLURM writes them."""
    node_memory_gb: int = 2000
    node_gpus: int = 8
    accounting: bool = True
    eager: bool = False
    """Whether whatever can run starts at once; else a test starts it."""
    next: int = 101
    """Id of the next job."""
    tasks: list[Task] = field(default_factory=list)
    by_name: dict[str, list[Task]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def schedule(self) -> None:
        """Cancel what can never run, and start what can where the cluster is eager, until nothing changes any more."""
        before = None
        while before != (before := [task.state for task in self.tasks]):
            for task in self.tasks:
                if task.kill and task.dependency and self.reason(task) == "DependencyNeverSatisfied":
                    task.state = "CANCELLED"
                elif self.eager and self.reason(task) == "Resources":
                    self.start(task)

    def start(self, task: Task) -> None:
        task.state, task.started = "RUNNING", datetime.now()

    def reason(self, task: Task) -> str:
        """Why a task does not run, as `squeue --format=%r` has it; Resources where a test may start it."""
        if task.state != "PENDING":
            return "None"
        if task.held:
            return task.held
        waits = {self._waits(kind, job) for kind, job in parts(task.dependency)}
        if "never" in waits:
            return "DependencyNeverSatisfied"
        if "yet" in waits:
            return "Dependency"
        if task.begins:
            return "BeginTime"
        beside = sum(other.array == task.array and other.state == "RUNNING" for other in self.tasks)
        return "JobArrayTaskLimit" if beside >= task.throttle else "Resources"

    def _waits(self, kind: str, job: str) -> str:
        """ "no", "yet" or "never"; a job that SLURM does not know is not waited for."""
        ends = {task.state for task in self.named(job)}
        if kind == "afterok" and ends & {*ENDED} - {"COMPLETED"}:
            return "never"
        return "no" if ends <= {*ENDED} else "yet"

    def add(self, task: Task) -> None:
        self.tasks.append(task)
        for name in {task.job, str(task.array)}:
            self.by_name.setdefault(name, []).append(task)

    def named(self, job: str) -> list[Task]:
        """A task by `ARRAY_TASK`, or all tasks of a job."""
        return self.by_name.get(job, [])

    def unfinished(self, job: str) -> list[Task]:
        """The same, refused where none is left."""
        found = [task for task in self.named(job) if task.state not in ENDED]
        if not found:
            raise Refusal(f"Invalid job id specified for job {job}")
        return found


def parts(dependency: str) -> list[tuple[str, str]]:
    """`afterok:1_2:3,afterany:4` -> (afterok, 1_2), (afterok, 3), (afterany, 4)."""
    words = [part.split(":") for part in dependency.split(",") if part]
    return [(kind, job) for kind, *jobs in words for job in jobs]


def moment(text: str) -> datetime:
    """`now` or `now+7days`."""
    found = re.fullmatch(r"now(?:\+(\d+)([a-z]+))?", text)
    if found is None:
        raise Refusal(f"Invalid time specification {text}")
    return datetime.now() + timedelta(**{found[2] or "seconds": int(found[1] or 0)})
