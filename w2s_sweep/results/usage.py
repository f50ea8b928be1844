"""What a sweep's work used of time and memory, and what its SLURM tasks asked for: from the summaries of finished
stages and the records of submissions. Without SLURM there is only what was used."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from w2s_sweep.results.cost import Summaries, hours_of, summaries_of
from w2s_sweep.results.join import origins
from w2s_sweep.runner.context import seconds_of
from w2s_sweep.store import Store
from w2s_sweep.store.files import number_in


@dataclass(frozen=True)
class Usage:
    """Finished stages that do the same work, those of SLURM tasks apart from those without one."""

    work: str
    """Roles of a task's stages, or of the stages; what they do where they have no role."""
    stages: int
    """Finished ones that are counted here."""
    tasks: int
    """SLURM tasks with all of their stages done, by themselves or by a later one; 0 where stages ran without SLURM, in
    another sweep's task, or in one that is not done."""
    asked_hours: float | None
    """Time limits of the tasks together, earlier ones for the same stages included, whether they began or not; that of
    one that SLURM queued again counts once. Null, as all that was asked for, without tasks, and where a task's script
    says none."""
    used_hours: float
    """Time of their stages together, of all runs that one continued from; stages that ran beside each other on a GPU
    count each."""
    asked_gpu_hours: float | None
    """Time limits of the tasks times their GPUs, of those of `asked_hours`."""
    used_gpu_hours: float
    """Time of stages on GPUs times their GPUs."""
    asked_gb: float | None
    """GB of the machine's memory that a task asked for at first, the most of those whose scripts say; SLURM may have
    queued it again with more."""
    used_gb: float | None
    """GB of it that a stage held, all of its processes together, the most; null where none says."""
    planned_gpu_gb: float | None
    """GB of one GPU that a stage planned with, the most."""
    used_gpu_gb: float | None
    """GB of one GPU that a stage held, the most."""

    def __str__(self) -> str:
        held = f"; {_say(self.asked_gb, 0)} GB of memory at first, and a stage held {self.used_gb or 0:.1f} at most"
        of = f" of {self.planned_gpu_gb:.1f} GB that were planned" if self.planned_gpu_gb else " GB"
        gpu = f"; of one GPU {self.used_gpu_gb or 0:.1f}{of}, at most"
        return (
            f"finished tasks asked for {_say(self.asked_hours)} hours and used {self.used_hours:.1f}; "
            f"{_say(self.asked_gpu_hours)} and {self.used_gpu_hours:.1f} hours of a GPU"
            f"{held if self.used_gb else ''}{gpu if self.used_gpu_gb else ''}"
        )


def _say(amount: float | None, digits: int = 1) -> str:
    return "unknown" if amount is None else f"{amount:.{digits}f}"


Ask = Mapping[str, float | None]
"""What a task asked for: minutes, gpus, memory_gb; None where its script said nothing."""


@dataclass
class _Found:
    """What is added up to a row."""

    summaries: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    asks: list[Ask] = field(default_factory=list[Ask])


@dataclass(frozen=True, eq=False)
class _Task:
    """One of a submission."""

    stages: Sequence[str]
    ask: Ask


def usage_of(store: Store, record: Mapping[str, Any], summaries: Summaries | None = None) -> tuple[Usage, ...]:
    """A row for each kind of work. `record`: sweep.json, or several joined. `summaries`: of its stages; None reads
    them."""
    summaries = summaries_of(store, record["stages"]) if summaries is None else summaries
    found = _find(record["stages"], list(_tasks(store, record)), summaries)
    return tuple(_row(work, one) for (work, _), one in sorted(found.items(), key=lambda item: item[0]))


def usage_of_tasks(store: Store, record: Mapping[str, Any]) -> Usage | None:
    """All finished SLURM tasks of a sweep as one row; None where there is none that can be read."""
    if not (tasks := list(_tasks(store, record))):
        return None
    rows = _find(record["stages"], tasks, summaries_of(store, record["stages"]))
    found = [one for (_, of_tasks), one in rows.items() if of_tasks]
    together = _Found([s for one in found for s in one.summaries], [ask for one in found for ask in one.asks])
    return _row("all", together) if found else None


def _find(
    stages: Mapping[str, Mapping[str, Any]], tasks: Sequence[_Task], summaries: Summaries
) -> dict[tuple[str, bool], _Found]:
    """(work, whether SLURM tasks did it) -> what belongs to it. All in the order of records: sums of floats differ in
    their last digits with it."""
    last = {key: task for task in tasks for key in task.stages}
    finishers = set(last.values())
    works = {
        task: ", ".join(dict.fromkeys(_work(stages[key]) for key in task.stages))
        for task in tasks
        if summaries.keys() >= set(task.stages)
    }
    found: dict[tuple[str, bool], _Found] = {}
    for task in works:
        # One whose stages were all submitted again belongs to the work of the one that finished them.
        if (work := works.get(task if task in finishers else last[task.stages[0]])) is not None:
            found.setdefault((work, True), _Found()).asks.append(task.ask)
    for key, summary in summaries.items():
        work = works.get(last[key]) if key in last else None
        row = (_work(stages[key]), False) if work is None else (work, True)
        found.setdefault(row, _Found()).summaries.append(summary)
    return found


def _tasks(store: Store, record: Mapping[str, Any]) -> Iterator[_Task]:
    """All that were submitted for a sweep, or those that were joined, in the order of their submission."""
    names = dict.fromkeys(origin["name"] for origin in origins(record))
    submissions = [one for name in names for one in store.submissions(name)]
    for submission in sorted(submissions, key=lambda one: number_in(one, "submitted") or 0.0):
        for task in submission.get("tasks", ()):
            if "ask" in task and task["stages"]:
                ask = {name: number_in(task["ask"], name) for name in ("minutes", "gpus", "memory_gb")}
                yield _Task(task["stages"], ask)


def _work(stage: Mapping[str, Any]) -> str:
    return str(stage.get("role") or stage.get("kind") or stage["label"])


def _row(work: str, found: _Found) -> Usage:
    return Usage(
        work,
        stages=len(found.summaries),
        tasks=len(found.asks),
        asked_hours=_hours(ask["minutes"] for ask in found.asks),
        used_hours=sum(seconds_of(one) or 0.0 for one in found.summaries) / 3600,
        asked_gpu_hours=_hours(_times(ask["minutes"], ask["gpus"]) for ask in found.asks),
        used_gpu_hours=sum(hours_of(one) for one in found.summaries if one.get("device") == "cuda"),
        asked_gb=_most(ask["memory_gb"] for ask in found.asks),
        used_gb=_most(map(held_gb, found.summaries)),
        planned_gpu_gb=_most(number_in(one, "planned GB") for one in found.summaries),
        used_gpu_gb=_most(number_in(one, "peak memory GB") for one in found.summaries),
    )


def _hours(minutes: Iterable[float | None]) -> float | None:
    """None where there is none, or one of them is not known: a part of a sum would look like all of it."""
    known = list(minutes)
    return sum(one for one in known if one is not None) / 60 if known and None not in known else None


def _times(minutes: float | None, gpus: float | None) -> float | None:
    return 0.0 if gpus == 0 else None if minutes is None or gpus is None else minutes * gpus


def _most(numbers: Iterable[float | None]) -> float | None:
    """None where none is known, or all are 0."""
    return max(filter(None, numbers), default=None)


def held_gb(summary: Mapping[str, Any]) -> float:
    """GB of the machine that a stage held, all processes that computed it together; 0 where it does not say."""
    return (number_in(summary, "peak RSS GB") or 0.0) * max(1, gpus_in(summary))


def gpus_in(summary: Mapping[str, Any]) -> int:
    """GPUs that a stage was computed on; 0 where it does not say, or on a CPU."""
    return int(number_in(summary, "GPUs") or 0)
