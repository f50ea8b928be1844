"""What a pack asks the cluster for: derived from its stages, unless the model's or the launcher's settings say it.

The nearest word counts: the launcher's for a role, for a kind, for everything, the model's own, then what is derived.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from w2s_sweep.config.plain import plain
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.plan.cost import cost
from w2s_sweep.plan.packs import Pack
from w2s_sweep.plan.stage import LABELLING, Stage

BYTES_A_PARAMETER = {"features": 4, "prompt": 5, "annotate": 5, "lora": 5, "full": 16}
"""Device memory: fp32 weights; with Adam and gradients four times that; adapters, and
the keys and values of prompts, are small."""
HEADROOM_GB = 4
SLACK = 3.0
"""Estimated run times are multiplied by this before they become a time limit."""

Resource = Literal["gpus", "cpus", "memory_gb", "minutes"]


@dataclass(frozen=True)
class Ask:
    """Resources of one task; arrays hold tasks with equal asks."""

    gpus: int
    cpus: int
    memory_gb: int
    minutes: int

    def __str__(self) -> str:
        return f"{self.gpus} GPUs, {self.cpus} CPUs, {self.memory_gb} GB, {self.minutes} minutes"


def ask_of(pack: Pack, settings: Settings) -> Ask:
    """The resources of a pack: the most that any of its stages asks for, and the time of all of them."""
    return Ask(
        gpus=max(_amount(stage, "gpus", settings) for stage in pack.stages),
        cpus=max(_amount(stage, "cpus", settings) for stage in pack.stages),
        memory_gb=max(_amount(stage, "memory_gb", settings) for stage in pack.stages),
        minutes=_minutes(pack, settings),
    )


def _amount(stage: Stage, name: Resource, settings: Settings) -> int:
    said = _said(stage, name, settings)
    return _derived(stage, name, settings) if said is None else said


def _minutes(pack: Pack, settings: Settings) -> int:
    said = [minutes for stage in pack.stages if (minutes := _said(stage, "minutes", settings)) is not None]
    if said:
        return max(said)
    hours = sum(cost(stage).flops for stage in pack.stages) / (settings.gpu_tflops * 1e12) / 3600
    return min(settings.max_minutes, _rounded(math.ceil(SLACK * hours * 60) + settings.min_minutes))


def _said(stage: Stage, name: Resource, settings: Settings) -> int | None:
    """What somebody set, the nearest word first."""
    return next((value for source in _sources(stage, settings) if (value := source.get(name)) is not None), None)


def _sources(stage: Stage, settings: Settings) -> Iterator[Mapping[str, Any]]:
    for label in (stage.run.get("role"), stage.kind):
        if label in settings.stages:
            yield plain(settings.stages[str(label)])
    yield vars(settings)
    if stage.kind not in LABELLING:
        yield stage.run.get("model", {}).get("resources", {})


def _derived(stage: Stage, name: Resource, settings: Settings) -> int:
    if stage.kind in ("data", "probe", *LABELLING):
        return {"gpus": 0, "cpus": 2, "memory_gb": HEADROOM_GB}[name]
    kind = _way(stage)
    params = float(stage.run["model"]["params"])
    device = (params * BYTES_A_PARAMETER[kind] + _prompt_bytes(stage)) / 1e9
    return {
        "gpus": max(1, math.ceil(device / settings.gpu_memory_gb)),
        "cpus": 4,
        "memory_gb": math.ceil(params * 4 * 2 / 1e9) + HEADROOM_GB,
    }[name]


def _prompt_bytes(stage: Stage) -> float:
    """Keys and values of a prompt that holds all rows, in 16 bits, as if attention shared none between heads: room for
    the copy of a model that does."""
    if stage.kind != "annotate":
        return 0.0
    dataset, model = stage.run["dataset"], stage.run["model"]
    tokens = stage.settings["rows"] * min(float(dataset["tokens_per_example"]), float(dataset["max_tokens"]))
    return tokens * 2 * 2 * model["layers"] * model["hidden"]


def _way(stage: Stage) -> str:
    """How a stage uses a model: only forward, or training adapters or all weights."""
    if stage.kind in BYTES_A_PARAMETER:
        return stage.kind
    if stage.kind == "adapt":
        return "full" if stage.settings["adapt"]["rank"] is None else "lora"
    return str(stage.settings["finetune"]["name"])


def _rounded(minutes: int) -> int:
    """Up to a quarter of an hour, so that packs of like size share an array."""
    return 15 * math.ceil(minutes / 15)
