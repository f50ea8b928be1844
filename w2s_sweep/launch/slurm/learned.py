"""What finished stages of the store used that are like those to submit: the next ask follows it, instead of estimates.

Alike are stages of one kind and version with the same model, data and settings, whatever their seeds and labels, on as
many GPUs. Only what takes no time is left out of the comparison: a search over learning rates learns from its first
cells.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from w2s_sweep.kinds import Kind
from w2s_sweep.kinds.base import Json
from w2s_sweep.launch.slurm.speed import ENOUGH
from w2s_sweep.plan.stage import Stage, canonical
from w2s_sweep.results.usage import gpus_in, held_gb
from w2s_sweep.runner.context import seconds_alone, seconds_of
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json

MARGIN = 1.5
"""No task asks for less than so many times what a stage like its own has used at most."""
SAME_WORK = frozenset({"seed", "lr", "weight_decay"})
"""Settings that change results and not how long they take."""


@dataclass(frozen=True)
class Used:
    """The most that stages alike have used. `ENOUGH` of them replace an estimate; fewer only raise it."""

    stages: int
    """How many there are."""
    seconds: float
    """Of one that was interrupted, those of all runs that it continued from."""
    memory_gb: float
    """Of the machine, of all processes that computed a stage together; 0 where that is not known."""

    def instead_of(self, estimate: float, used: float) -> float:
        """What to ask for: `used` and a margin, and the estimate where that is more and few stages know better."""
        return MARGIN * used if self.teaches(estimate, used) else estimate

    def at_least(self, estimate: float, used: float) -> float:
        """What does without the margin: `used`, and not less than the estimate where few stages say so."""
        if not self.teaches(estimate, used):
            return estimate
        return used if self.stages >= ENOUGH else max(used, estimate)

    def teaches(self, estimate: float, used: float) -> bool:
        """Whether it counts, and not the estimate."""
        return used > 0 and (self.stages >= ENOUGH or MARGIN * used > estimate)


class Learned:
    """What stages to be submitted can learn from the store."""

    def __init__(self, works: Mapping[str, str] | None = None, found: Mapping[tuple[str, int], Used] | None = None):
        """`works`: key of a stage to be submitted -> what stages that take as long have in common."""
        self._works, self._found = dict(works or {}), dict(found or {})

    def of(self, stage: Stage[Kind], gpus: int) -> Used | None:
        """Of finished stages like this one on so many GPUs; None where there is none."""
        return self._found.get((self._works.get(stage.key, ""), gpus))

    def say(self, learners: Mapping[str, int]) -> str:
        """What to tell of stages that ask for what others have used. `learners`: key -> its GPUs."""
        groups = {(self._works[key], gpus) for key, gpus in learners.items()}
        count = sum(self._found[group].stages for group in groups)
        told = f"time and memory: {len(learners)} stages ask by what {count} finished ones like them used"
        return f"{told}, x {MARGIN:g}" if learners else ""


def learn_used(store: Store, stages: Iterable[Stage[Kind]]) -> Learned:
    """Look at what the newest sweeps of the store have finished. `stages`: to be submitted, so they are not."""
    stages = list(stages)
    works, kinds = {stage.key: _work(stage.preimage) for stage in stages}, {stage.kind for stage in stages}
    wanted = set(works.values())
    summaries: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for key in store.recent_stages(lambda one: one.kind in kinds, but=works.keys()):
        work = _work(read_json(store.path(key) / "preimage.json") or {})
        said = read_json(store.path(key) / "summary.json") if work in wanted else None
        if said is not None and seconds_alone(said) is not None:
            summaries[work, gpus_in(said)].append(said)
    return Learned(works, {name: _measure_use(many) for name, many in summaries.items()})


def _measure_use(many: list[Mapping[str, Any]]) -> Used:
    held = [gb for one in many if (gb := held_gb(one))]
    known = len(held) >= min(ENOUGH, len(many))  # what ran on GPUs with earlier versions does not say
    return Used(len(many), max(seconds_of(one) or 0.0 for one in many), max(held) if known else 0.0)


def _work(preimage: Mapping[str, Any]) -> str:
    """What stages that take as long have in common."""
    inputs: Any = preimage.get("inputs")
    data = inputs.get("data") if isinstance(inputs, Mapping) else None  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
    settings = _without(preimage.get("settings"))
    try:
        return canonical([preimage.get("kind"), preimage.get("version"), settings, data])
    except ValueError:  # not a finite number, which no stage of ours has
        return ""


def _without(settings: Any) -> Json:
    """Settings without those that change no time, at any depth."""
    if not isinstance(settings, Mapping):
        return settings
    given: Mapping[str, Any] = settings  # pyright: ignore[reportUnknownVariableType]
    return {name: _without(value) for name, value in given.items() if name not in SAME_WORK}
