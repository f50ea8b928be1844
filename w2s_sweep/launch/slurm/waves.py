"""Waves: where a site takes fewer jobs of a user than a sweep has tasks, the first ones are submitted, and the others
when there is room: by `w2s keep`, by a command that waits, or by running the sweep's command again.

Nothing waits in a list: a wave is what the plan of that moment lacks. Whoever dies between two of them loses nothing.
"""

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from w2s_sweep.launch.engine import Job
from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.nodes import failed_by_hardware
from w2s_sweep.launch.slurm.refused import LIMIT
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.plan.graph import Plan
from w2s_sweep.plan.packs import Pack
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json

T = TypeVar("T")


def too_many(error: BaseException) -> bool:
    """Whether sbatch refused the number of jobs (AssocMaxSubmitJobLimit, ...), and not what they request."""
    text = str(error)
    named = LIMIT.findall(text)
    return any("Submit" in one for one in named) if named else "job submit limit" in text


@dataclass(frozen=True)
class Room:
    """How many more jobs of this user the cluster takes."""

    most: int | None
    """Most jobs in the queue at once; None where no limit is known."""
    used: int = 0
    """Jobs that are in the queue, of this sweep or not."""
    learned: bool = False
    """Whether a refusal has taught the limit."""

    @property
    def full(self) -> bool:
        """Whether there is room for no job."""
        return self.left == 0

    @property
    def left(self) -> int | None:
        """Jobs that may be added; None where no limit is known."""
        return None if self.most is None else max(0, self.most - self.used)

    def take(self, packs: Sequence[T]) -> Sequence[T]:
        """The first packs, as many as there is room for; a pack only waits for packs before it."""
        return packs[: self.left]


def find_room(job: Job, settings: Settings) -> Room:
    """By the setting, else by what an earlier refusal has taught."""
    if settings.max_submit is not None:
        return Room(settings.max_submit, len(commands.queue()))
    learned = (read_json(_path(job.store, job.name)) or {}).get("learned")
    return Room(None) if learned is None else Room(learned, len(commands.queue()), learned=True)


def after_refusal(refused: int, account: str | None) -> Room:
    """Room after sbatch has refused so many tasks: by the accounting's limit where it says one, else half as much."""
    used = len(commands.queue())
    limit = commands.submit_limit(getpass.getuser(), account)
    half = used + refused // 2
    return Room(limit if limit is not None and limit - used < refused else half, used, learned=True)


def write_waves(job: Job, left: int, room: Room) -> None:
    """For `w2s status` and the next wave: tasks that are left, and the limit that was learned."""
    path = _path(job.store, job.name)
    if left or path.is_file():
        write_json(path, {"left": left, "learned": room.most if room.learned else None})


def tasks_left(store: Store, name: str) -> int:
    """Tasks of a sweep that wait for a later wave."""
    return int((read_json(_path(store, name)) or {}).get("left", 0))


def _path(store: Store, name: str) -> Path:
    return store.sweep(name) / "waves.json"


def hopeless(job: Job, plan: Plan, retries: int) -> set[str]:
    """Stages that are not submitted again by themselves: those that failed, those whose jobs were lost, or whose node
    failed, after so many retries, and what needs one of these."""
    tries = _submissions_of(job)
    found: set[str] = set()
    for key in plan.keys("to run"):
        failure = read_json(job.store.work(key) / "failure.json")
        failed = failure is not None and not failed_by_hardware(failure)
        inputs = plan.graph.stages[key].inputs.values()
        if failed or tries.get(key, 0) > retries or not found.isdisjoint(inputs):
            found.add(key)
    return found


def _submissions_of(job: Job) -> Mapping[str, int]:
    """Stage -> how often it was submitted since somebody asked for that last."""
    tries: dict[str, int] = {}
    for record in job.store.submissions(job.name):
        for key in (key for task in record.get("tasks", ()) for key in task["stages"]):
            tries[key] = tries.get(key, 0) + 1 if record.get("again") else 1
    return tries


def forget_failures(job: Job, packs: Sequence[Pack]) -> None:
    """Of stages that somebody wants again, in a later wave: until then they would be taken for failed."""
    for key in (key for pack in packs for key in pack.keys):
        (job.store.work(key) / "failure.json").unlink(missing_ok=True)
