"""What finished stages of the store used that are like those to submit: the next ask follows it, instead of estimates.

Alike are stages of one kind and version with the same model, data and settings, whatever their seeds and labels, on as
many GPUs. Only what takes no time is left out of the comparison: a search over learning rates learns from its first
cells.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import nlargest
from typing import Any

from w2s_sweep.kinds import Kind
from w2s_sweep.kinds.base import Json
from w2s_sweep.plan.stage import Stage, canonical
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json

MARGIN = 1.5
"""No task asks for less than so many times what a stage like its own has used at most."""
ENOUGH = 3
"""So many finished stages replace an estimate; fewer only raise it."""
SAMPLED = 1_000
"""Finished stages that are looked at, at most, the newest first."""
SAME_WORK = frozenset({"seed", "lr", "weight_decay"})
"""Settings that change results and not how long they take."""


@dataclass(frozen=True)
class Used:
    """The most that stages alike have used."""

    stages: int
    """How many there are."""
    seconds: float
    """Of the last run of one that was interrupted."""
    memory_gb: float
    """Of the machine, where they ran on a CPU; 0 where that is not known."""

    def instead_of(self, estimate: float, used: float) -> float:
        """What to ask for: `used` and a margin, and the estimate where that is more and few stages know better."""
        own = MARGIN * used
        return own if own and self.stages >= ENOUGH else max(own, estimate)


class Learned:
    """What stages to be submitted can learn from the store."""

    def __init__(self, found: Mapping[tuple[str, int], Used] | None = None):
        self._found = dict(found or {})

    def of(self, stage: Stage[Kind], gpus: int) -> Used | None:
        """Of finished stages like this one on so many GPUs; None where there is none."""
        return self._found.get((_work(stage.preimage), gpus)) if self._found else None

    def say(self, stages: Iterable[Stage[Kind]]) -> str:
        """What to tell of it; empty where nothing was learned."""
        works = {work for work, _ in self._found}
        alike = sum(_work(stage.preimage) in works for stage in stages) if works else 0
        count = sum(used.stages for used in self._found.values())
        told = f"time, and memory of CPU tasks: {alike} stages ask by what {count} finished ones like them used"
        return f"{told}, x {MARGIN:g}" if alike else ""


def learn_used(store: Store, stages: Iterable[Stage[Kind]]) -> Learned:
    """Look at the store's newest finished stages."""
    wanted = {_work(stage.preimage) for stage in stages}
    summaries: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for key in _newest(store):
        work = _work(read_json(store.path(key) / "preimage.json") or {})
        said = read_json(store.path(key) / "summary.json") if work in wanted else None
        if said is not None and isinstance(said.get("seconds"), int | float):
            summaries[work, int(said.get("GPUs", 0))].append(said)
    return Learned({name: _used(many) for name, many in summaries.items()})


def _newest(store: Store) -> list[str]:
    with os.scandir(store.stages) as entries:
        return [name for _, name in nlargest(SAMPLED, ((entry.stat().st_mtime, entry.name) for entry in entries))]


def _used(many: list[Mapping[str, Any]]) -> Used:
    memory = max(float(one.get("peak RSS GB", 0.0)) for one in many)
    return Used(len(many), max(float(one["seconds"]) for one in many), memory)


def _work(preimage: Mapping[str, Any]) -> str:
    """What stages that take as long have in common."""
    inputs: Mapping[str, Json] = preimage.get("inputs", {})
    return canonical([
        preimage.get("kind"), preimage.get("version"), _without(preimage.get("settings")), inputs.get("data")
    ])  # fmt: skip


def _without(settings: Any) -> Json:
    """Settings without those that change no time, at any depth."""
    if not isinstance(settings, Mapping):
        return settings
    given: Mapping[str, Any] = settings  # pyright: ignore[reportUnknownVariableType]
    return {name: _without(value) for name, value in given.items() if name not in SAME_WORK}
