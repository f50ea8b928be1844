"""What a sweep's work used of time and memory, and what its SLURM tasks asked for: from the summaries of finished
stages and the records of submissions. Without SLURM there is only what was used."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from w2s_sweep.results.cost import hours_of
from w2s_sweep.results.join import origins
from w2s_sweep.runner.context import seconds_of
from w2s_sweep.store import Store
from w2s_sweep.store.files import number_in, read_json


@dataclass(frozen=True)
class Usage:
    """Finished stages that do the same work, those of SLURM tasks apart from those without one."""

    work: str
    """Roles of a task's stages, or of the stages; what they do where they have no role."""
    stages: int
    """Finished ones that are counted here."""
    tasks: int
    """SLURM tasks with all of their stages done; 0 where stages ran without SLURM, in another sweep's task, or in one
    that is not done."""
    asked_hours: float | None
    """Time limits of the tasks together; null without tasks, as all that was asked for."""
    used_hours: float
    """Time of their stages together, of all runs that one continued from; stages that ran beside each other on a GPU
    count each."""
    asked_gpu_hours: float | None
    """Time limits of the tasks times their GPUs."""
    used_gpu_hours: float
    """Time of stages on GPUs times their GPUs."""
    asked_gb: float | None
    """GB of the machine's memory that a task asked for, the most."""
    used_gb: float | None
    """GB of it that a stage held, all of its processes together, the most; null where none says."""
    planned_gpu_gb: float | None
    """GB of one GPU that a stage planned with, the most."""
    used_gpu_gb: float | None
    """GB of one GPU that a stage held, the most."""

    def __str__(self) -> str:
        held = f"; {self.asked_gb or 0:.0f} GB of memory at most, and a stage held {self.used_gb or 0:.1f}"
        of = f" of {self.planned_gpu_gb:.1f} GB that were planned" if self.planned_gpu_gb else " GB"
        gpu = f"; of one GPU {self.used_gpu_gb or 0:.1f}{of}, at most"
        return (
            f"finished tasks asked for {self.asked_hours or 0:.1f} hours and used {self.used_hours:.1f}; "
            f"{self.asked_gpu_hours or 0:.1f} and {self.used_gpu_hours:.1f} hours of a GPU"
            f"{held if self.used_gb else ''}{gpu if self.used_gpu_gb else ''}"
        )


@dataclass
class _Found:
    """What is added up to a row."""

    summaries: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    asks: list[Mapping[str, float]] = field(default_factory=list[Mapping[str, float]])


def usage_of(store: Store, record: Mapping[str, Any]) -> tuple[Usage, ...]:
    """A row for each kind of work. `record`: sweep.json, or several joined. Reads the summaries of all stages."""
    return tuple(_row(work, one) for (work, _), one in sorted(_find(store, record).items()))


def usage_of_tasks(store: Store, record: Mapping[str, Any]) -> Usage | None:
    """All finished SLURM tasks of a sweep as one row; None where there is none that can be read."""
    found = [one for (_, of_tasks), one in _find(store, record).items() if of_tasks]
    together = _Found([s for one in found for s in one.summaries], [ask for one in found for ask in one.asks])
    return _row("all", together) if found else None


def _find(store: Store, record: Mapping[str, Any]) -> dict[tuple[str, bool], _Found]:
    """(work, whether SLURM tasks did it) -> what belongs to it."""
    stages: Mapping[str, Mapping[str, Any]] = record["stages"]
    summaries = {key: one for key in stages if (one := read_json(store.path(key) / "summary.json")) is not None}
    found: dict[tuple[str, bool], _Found] = {}
    counted = set[str]()
    for keys, ask in _tasks(store, record):
        if summaries.keys() >= set(keys):
            one = found.setdefault((", ".join(dict.fromkeys(_work(stages[key]) for key in keys)), True), _Found())
            one.asks.append(ask)
            one.summaries += [summaries[key] for key in keys]
            counted.update(keys)
    for key in summaries.keys() - counted:
        found.setdefault((_work(stages[key]), False), _Found()).summaries.append(summaries[key])
    return found


def _tasks(store: Store, record: Mapping[str, Any]) -> Iterator[tuple[Sequence[str], Mapping[str, float]]]:
    """Stages of a task, and the numbers that it asked for."""
    for origin in origins(record):
        last: dict[str, Mapping[str, Any]] = {}
        for submission in store.submissions(origin["name"]):
            # A stage that was submitted twice counts for the task that was asked for last.
            last |= {key: task for task in submission.get("tasks", ()) for key in task["stages"] if "ask" in task}
        for task in {task["job"]: task for task in last.values()}.values():
            asked = {name: number_in(task["ask"], name) for name in ("minutes", "gpus", "memory_gb")}
            known = {name: amount for name, amount in asked.items() if amount is not None}
            if len(known) == len(asked) and record["stages"].keys() >= set(task["stages"]):
                yield task["stages"], known


def _work(stage: Mapping[str, Any]) -> str:
    return str(stage.get("role") or stage.get("kind") or stage["label"])


def _row(work: str, found: _Found) -> Usage:
    of_tasks = bool(found.asks)
    return Usage(
        work,
        stages=len(found.summaries),
        tasks=len(found.asks),
        asked_hours=sum(ask["minutes"] for ask in found.asks) / 60 if of_tasks else None,
        used_hours=sum(seconds_of(one) or 0.0 for one in found.summaries) / 3600,
        asked_gpu_hours=sum(ask["minutes"] * ask["gpus"] for ask in found.asks) / 60 if of_tasks else None,
        used_gpu_hours=sum(hours_of(one) for one in found.summaries if one.get("device") == "cuda"),
        asked_gb=max((ask["memory_gb"] for ask in found.asks), default=None),
        used_gb=_most(map(held_gb, found.summaries)),
        planned_gpu_gb=_most(number_in(one, "planned GB") for one in found.summaries),
        used_gpu_gb=_most(number_in(one, "peak memory GB") for one in found.summaries),
    )


def _most(numbers: Iterable[float | None]) -> float | None:
    """None where none is known, or all are 0."""
    return max(filter(None, numbers), default=None)


def held_gb(summary: Mapping[str, Any]) -> float:
    """GB of the machine that a stage held, all processes that computed it together; 0 where it does not say."""
    return (number_in(summary, "peak RSS GB") or 0.0) * max(1, gpus_in(summary))


def gpus_in(summary: Mapping[str, Any]) -> int:
    """GPUs that a stage was computed on; 0 where it does not say, or on a CPU."""
    return int(number_in(summary, "GPUs") or 0)
