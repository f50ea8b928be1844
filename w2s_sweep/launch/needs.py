"""What the stages of a plan need of a device: printed with the plan, and refused where no device could hold it."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rich.table import Table

from w2s_sweep.config.model import Model
from w2s_sweep.errors import ConfigError
from w2s_sweep.kinds import Kind
from w2s_sweep.kinds.memory import ON_CPU, Fit, Memory, explain_too_large, fewest, fit
from w2s_sweep.kinds.shape import Shape, guess_shape, parse_shape
from w2s_sweep.plan.stage import Stage, canonical
from w2s_sweep.sources import find
from w2s_sweep.sources.weights import read_config

Device = Callable[[Stage[Kind]], float | None]
"""Bytes of the device that a stage is to run on; None where it is the CPU."""
Counts = Callable[[Stage[Kind]], Sequence[int]]
"""Numbers of GPUs that a stage may compute on, the smallest first."""
GB = 1e9


def memory_of(stage: Stage[Kind]) -> Memory:
    """What a stage holds, from its model's config.json where that is on this machine, else from its published size."""
    part = stage.settings.model_part()
    if part is None:
        return ON_CPU
    return stage.settings.memory(stage.hints, _shape(stage.hints.of_model, canonical(part.weights)))


@lru_cache(maxsize=256)
def _shape(model: Model, weights: str) -> Shape:
    folder = find(model.source, json.loads(weights), "model")
    config: Mapping[str, Any] = {} if folder is None else read_config(folder)
    return parse_shape(config, model) if config else guess_shape(model)


@dataclass(frozen=True)
class Need:
    """What stages alike need."""

    model: str
    way: str
    """How the model is used: full, lora, features, ..."""
    memory: Memory
    device: float
    """Bytes of the device."""
    counts: tuple[int, ...] = (1,)
    """Numbers of GPUs that there may be."""

    @property
    def gpus(self) -> int:
        """Of which so many compute the stage together."""
        return fewest(self.memory, self.device, self.counts)

    @property
    def each(self) -> Memory:
        """What each of these GPUs holds."""
        return self.memory.on(self.gpus)

    @property
    def fit(self) -> Fit | None:
        return fit(self.each, self.device)


def gpus_of(stage: Stage[Kind], device: float | None, counts: Sequence[int]) -> int:
    """How many GPUs compute a stage: the fewest on which it fits."""
    return counts[0] if device is None or len(counts) == 1 else fewest(memory_of(stage), device, counts)


def needs(stages: Iterable[Stage[Kind]], device: Device, counts: Counts = lambda stage: (1,)) -> list[Need]:
    """Of the stages that run on a device, each kind of need once."""
    found: dict[Need, None] = {}
    for stage in stages:
        part, there = stage.settings.model_part(), device(stage)
        if there and part is not None and (memory := memory_of(stage)).fixed:
            found[Need(stage.hints.of_model.name, part.way, memory, there, tuple(counts(stage)))] = None
    return list(found)


def refuse_too_large(found: Iterable[Need]) -> None:
    """ConfigError with every need that no device holds, and what would help."""
    problems = [
        explain_too_large(f"{need.model}, {need.way}", need.each, need.device, need.gpus)
        for need in found
        if need.fit is None
    ]
    if problems:
        raise ConfigError(problems)


def table_of(found: Iterable[Need]) -> Table:
    """One line for each need: how the stages will run."""
    names = ("model", "way", "weights", "tokens a pass", "checkpointing", "GPUs", "GPU memory")
    table = Table(*names, box=None, pad_edge=False)
    for need in found:
        how, device = need.fit, f"{need.device / GB:.0f} GB"
        tokens, checkpointing, memory = "-", "-", f"over {device}"
        if how is not None:
            tokens, checkpointing = f"{how.tokens:,}", "on" if how.checkpointing else "off"
            memory = f"{how.device / GB:.1f} of {device}"
        table.add_row(need.model, need.way, need.memory.weights, tokens, checkpointing, str(need.gpus), memory)
    return table
