"""What tasks asked for and what their stages used: shown when a sweep has ended, and learned from by the next ask."""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from w2s_sweep.kinds import Kind
from w2s_sweep.launch.slurm.queued import submissions_of
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.plan.stage import Stage
from w2s_sweep.runner.context import seconds_alone, seconds_of
from w2s_sweep.store import Store
from w2s_sweep.store.files import number_in, read_json

ENOUGH = 3
"""Stages from which times are learned."""
SHORTEST = 60.0
"""Seconds of a stage that tells something: in shorter ones a model is loaded, most of the time."""
BOUNDS = (1 / 3, 4.0)
"""The least and most by which a learned time limit differs from the estimate."""


@dataclass(frozen=True)
class Usage:
    """Sums over the tasks of which every stage is done."""

    asked_hours: float = 0.0
    """Time limits of the tasks."""
    used_hours: float = 0.0
    """Times of their stages; of one that was interrupted, of all runs that it continued from."""
    asked_gpu_hours: float = 0.0
    used_gpu_hours: float = 0.0
    asked_gb: float = 0.0
    """Memory of the machine: the most that a task asked for."""
    used_gb: float = 0.0
    """The most of it that a stage held; 0 where none says."""
    planned_gpu_gb: float = 0.0
    """The most of a GPU that a stage planned with, and in the next what one held."""
    gpu_gb: float = 0.0

    def __str__(self) -> str:
        held = f"; {self.asked_gb:.0f} GB of memory at most, and a stage held {self.used_gb:.1f}"
        memory = held if self.used_gb else ""
        of = f" of {self.planned_gpu_gb:.1f} GB that were planned" if self.planned_gpu_gb else " GB"
        gpu = f"; of one GPU {self.gpu_gb:.1f}{of}, at most" if self.gpu_gb else ""
        return (
            f"finished tasks asked for {self.asked_hours:.1f} hours and used {self.used_hours:.1f}; "
            f"{self.asked_gpu_hours:.1f} and {self.used_gpu_hours:.1f} hours of a GPU{memory}{gpu}"
        )


def usage(store: Store, name: str) -> Usage | None:
    """Of a sweep's own tasks; None where none was submitted that can be read, or none is done."""
    tasks: dict[str, Mapping[str, Any]] = {}
    for record in submissions_of(store, name):
        # A stage that was submitted twice counts for the task that was asked for last.
        tasks |= {key: task for task in record.get("tasks", ()) for key in task["stages"] if "ask" in task}
    asked = {task["job"]: task for task in tasks.values() if all(store.is_done(key) for key in task["stages"])}
    found = [_of_task(store, task) for task in asked.values()]
    if not found:
        return None
    of = {field: [getattr(one, field) for one in found] for field in Usage.__dataclass_fields__}
    return Usage(**{field: sum(many) if field.endswith("_hours") else max(many) for field, many in of.items()})


def _of_task(store: Store, task: Mapping[str, Any]) -> Usage:
    summaries = [read_json(store.path(key) / "summary.json") or {} for key in task["stages"]]
    asked, gpus = task["ask"]["minutes"] / 60, task["ask"]["gpus"]
    used = sum(seconds_of(one) or 0.0 for one in summaries) / 3600
    memory = [max(map(held_gb, summaries), default=0.0)] + [
        max((number_in(one, name) or 0.0 for one in summaries), default=0.0)
        for name in ("planned GB", "peak memory GB")
    ]
    return Usage(asked, used, asked * gpus, used * gpus, float(task["ask"]["memory_gb"]), *memory)


def held_gb(summary: Mapping[str, Any]) -> float:
    """GB of the machine that a stage held, all processes that computed it together; 0 where it does not say."""
    return (number_in(summary, "peak RSS GB") or 0.0) * max(1, gpus_in(summary))


def gpus_in(summary: Mapping[str, Any]) -> int:
    """GPUs that a stage was computed on; 0 where it does not say, or on a CPU."""
    return int(number_in(summary, "GPUs") or 0)


def learn_time(store: Store, done: Iterable[Stage[Kind]], settings: Settings) -> tuple[Settings, str]:
    """The settings with the speed at which finished stages ran on GPUs, within bounds, and what to say of that.

    Times that were set by hand stay; too few finished stages teach nothing.
    """
    slower = [ratio for stage in done if (ratio := _slowness(store, stage, settings)) is not None]
    if len(slower) < ENOUGH:
        return settings, ""
    factor = min(max(statistics.median(slower), BOUNDS[0]), BOUNDS[1])
    said = f"time limits: {len(slower)} finished stages took {factor:.2g} times the estimate of gpu_tflops"
    return replace(settings, gpu_tflops=settings.gpu_tflops / factor), said


def _slowness(store: Store, stage: Stage[Kind], settings: Settings) -> float | None:
    """Time on a GPU over its estimate; None where that says nothing."""
    summary = read_json(store.path(stage.key) / "summary.json") or {}
    seconds, flops = seconds_alone(summary), stage.cost.flops
    if summary.get("device") != "cuda" or seconds is None or seconds < SHORTEST or not flops:
        return None
    return seconds * settings.gpu_tflops * 1e12 / flops
