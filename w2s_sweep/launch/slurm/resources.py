"""The resources of a pack: derived from its stages, unless the model's or the launcher's settings have them.

The nearest word counts: the launcher's for a role, for a kind, for everything, the model's own, then what finished
stages alike have used (learned.py), then what is derived.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from w2s_sweep.config.plain import plain
from w2s_sweep.kinds import Kind
from w2s_sweep.kinds.memory import COUNTS
from w2s_sweep.launch.needs import gpus_of, memory_of
from w2s_sweep.launch.slurm.asked import MEMORY, TIME, Asked, read_asked
from w2s_sweep.launch.slurm.learned import Learned, Used
from w2s_sweep.launch.slurm.options import Options, options_of
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.plan.packs import Pack
from w2s_sweep.plan.stage import Stage

HEADROOM_GB = 4
LEAST_GB = 2
"""The least memory that is learned: Python with torch, and files that are read; with a GPU `HEADROOM_GB`, for what its
driver pins and no process's RSS tells."""
NOTHING = Learned()
SLACK = 3.0
"""Estimated run times are multiplied by this before they become a time limit."""

Resource = Literal["gpus", "cpus", "memory_gb", "minutes"]
Learnable = Literal["memory_gb", "minutes"]
BY_HAND = "set by hand"
BY_SBATCH = "set by hydra.launcher.sbatch"
OPTIONS: Mapping[Learnable, Sequence[str]] = {"memory_gb": MEMORY, "minutes": TIME}
BOUNDED = ", bounded by max_minutes"


@dataclass(frozen=True)
class Ask:
    """Resources of one task; the tasks of an array have equal ones."""

    gpus: int
    cpus: int
    memory_gb: int
    minutes: int
    options: Options = ()
    """Further options of sbatch."""
    most_minutes: int | None = None
    """The most that its partition gives, where that is known."""
    least_gb: int | None = None
    """Memory that does, where that it asks for has a margin that was learned; None: nothing less does."""

    def __str__(self) -> str:
        more = "".join(f", {name}={value}" for name, value in self.options)
        return f"{self.asked}{more}"

    @property
    def partition(self) -> object:
        """One or several with commas between; None where it names none."""
        return dict(self.options).get("partition")

    @property
    def asked(self) -> Asked:
        """What its script says, free options in the place of what is derived."""
        return read_asked(self.gpus, self.cpus, self.memory_gb, self.minutes, self.options)


def ask_of(pack: Pack, settings: Settings, learned: Learned = NOTHING) -> Ask:
    """The resources of a pack: the most that any of its stages needs, and the time of all of them."""
    memory = [_memory_gb(stage, settings, learned) for stage in pack.stages]
    memory_gb, least_gb = max(wanted for wanted, _ in memory), max(least for _, least in memory)
    return Ask(
        gpus=max(_amount(stage, "gpus", settings) for stage in pack.stages),
        cpus=max(_amount(stage, "cpus", settings) for stage in pack.stages),
        memory_gb=memory_gb,
        minutes=_minutes(pack, settings, learned),
        options=options_of(pack, settings),
        least_gb=least_gb if least_gb < memory_gb else None,
    )


def _amount(stage: Stage[Kind], name: Resource, settings: Settings) -> int:
    said = _find_set(stage, name, settings)
    return _derive(stage, name, settings) if said is None else said


def _memory_gb(stage: Stage[Kind], settings: Settings, learned: Learned) -> tuple[int, int]:
    """What to ask for, and what does where a partition gives no more: without the margin on what others have used."""
    said = _find_set(stage, "memory_gb", settings)
    if said is not None:
        return said, said
    derived, beside, gpus = (
        _derive(stage, "memory_gb", settings), settings.stages_per_gpu, gpus_asked(stage, settings)
    )  # fmt: skip
    used = learned.of(stage, gpus)
    if used is None:
        return derived, derived
    floor, estimate = HEADROOM_GB * gpus or LEAST_GB, derived / beside
    wanted, least = used.instead_of(estimate, used.memory_gb), used.at_least(estimate, used.memory_gb)
    return max(floor, math.ceil(wanted)) * beside, max(floor, math.ceil(least)) * beside


def device_of(stage: Stage[Kind], settings: Settings) -> float | None:
    """Bytes of a GPU for each of the stages that share it; None for a stage that was set to run on the CPU."""
    return settings.gpu_memory_gb * 1e9 / settings.stages_per_gpu if _find_set(stage, "gpus", settings) != 0 else None


def counts_of(stage: Stage[Kind], settings: Settings) -> Sequence[int]:
    """Numbers of GPUs that a stage may compute on."""
    if not stage.settings.can_shard or settings.stages_per_gpu > 1:
        return (1,)
    said = _find_set(stage, "gpus", settings)
    return (said,) if said else COUNTS


def _minutes(pack: Pack, settings: Settings, learned: Learned) -> int:
    said = [minutes for stage in pack.stages if (minutes := _find_set(stage, "minutes", settings)) is not None]
    return max(said) if said else min(settings.max_minutes, _needed_minutes(pack.stages, settings, learned))


def _needed_minutes(stages: Sequence[Stage[Kind]], settings: Settings, learned: Learned) -> int:
    seconds = sum(_seconds(stage, settings, learned) for stage in stages)
    return _round_up(math.ceil(seconds / 60) + settings.min_minutes)


def _seconds(stage: Stage[Kind], settings: Settings, learned: Learned) -> float:
    """Of the limit, for one stage."""
    estimate, used = _estimate(stage, settings), learned.of(stage, gpus_asked(stage, settings))
    return estimate if used is None else used.instead_of(estimate, used.seconds)


def _estimate(stage: Stage[Kind], settings: Settings) -> float:
    return SLACK * stage.cost.flops / (settings.gpu_tflops * 1e12)


def gpus_asked(stage: Stage[Kind], settings: Settings) -> int:
    return _amount(stage, "gpus", settings)


def learned_from(stage: Stage[Kind], name: Learnable, settings: Settings, learned: Learned) -> Used | None:
    """What decides the amount that a task asks for this stage; None where it is set by hand, by sbatch's options, or by
    default."""
    if _set_by_sbatch(stage, name, settings) or _find_set(stage, name, settings) is not None:
        return None
    used = learned.of(stage, gpus_asked(stage, settings))
    if used is None:
        return None
    if name == "minutes":
        return used if used.teaches(_estimate(stage, settings), used.seconds) else None
    derived = _derive(stage, name, settings) / settings.stages_per_gpu
    return used if used.teaches(derived, used.memory_gb) else None


def where_from(stage: Stage[Kind], name: Learnable, settings: Settings, learned: Learned) -> str:
    """Where the amount comes from that a task asks for this stage: set by hand, learned, or default, and the bound that
    cuts it."""
    if _set_by_sbatch(stage, name, settings):
        return BY_SBATCH
    if _find_set(stage, name, settings) is not None:
        return BY_HAND
    used = learned_from(stage, name, settings, learned)
    word = "default" if used is None else f"learned from {used.stages} finished stages"
    cut = name == "minutes" and _needed_minutes([stage], settings, learned) > settings.max_minutes
    return word + BOUNDED if cut else word


def _set_by_sbatch(stage: Stage[Kind], name: Learnable, settings: Settings) -> bool:
    """Whether an option of sbatch says the amount, or takes it away."""
    return any(option in OPTIONS[name] for option, _ in options_of(Pack("", (stage,), frozenset()), settings))


def _find_set(stage: Stage[Kind], name: Resource, settings: Settings) -> int | None:
    """What somebody set, the most specific setting first."""
    return next((value for source in _sources(stage, settings) if (value := source.get(name)) is not None), None)


def _sources(stage: Stage[Kind], settings: Settings) -> Iterator[Mapping[str, Any]]:
    for label in (stage.hints.role, stage.kind):
        if label in settings.stages:
            yield plain(settings.stages[label])
    yield vars(settings)
    if stage.hints.model is not None and not stage.settings.makes_labels:
        yield vars(stage.hints.model.resources)


def _derive(stage: Stage[Kind], name: Resource, settings: Settings) -> int:
    """What nobody set, from what the kind of stage holds in memory. Stages that run beside each other in a task add up
    on its CPUs and in its memory, and share its GPU."""
    memory, beside = memory_of(stage), settings.stages_per_gpu
    if not memory.fixed:
        return {"gpus": 0, "cpus": 2 * beside, "memory_gb": HEADROOM_GB * beside}[name]
    gpus = gpus_of(stage, device_of(stage, settings), counts_of(stage, settings))
    processes = beside * gpus
    # Processes that compute a stage together load its model one after another.
    host = beside * math.ceil(memory.host / 1e9) + HEADROOM_GB * processes
    return {"gpus": gpus, "cpus": 4 * processes, "memory_gb": host}[name]


def _round_up(minutes: int) -> int:
    """Up to a quarter of an hour, so that packs of like size share an array."""
    return 15 * math.ceil(minutes / 15)
