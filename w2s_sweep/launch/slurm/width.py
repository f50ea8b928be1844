"""How many tasks the cluster could start at once: stages that share a model are divided among so many.

What is free is looked up when a sweep is submitted, once, and is a guess: others submit too, and what waits for other
stages starts later. `hydra.launcher.width` says it instead.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from w2s_sweep.kinds import Kind
from w2s_sweep.launch.estimate import CORE_FLOPS
from w2s_sweep.launch.slurm.inventory import Node
from w2s_sweep.launch.slurm.learned import Learned
from w2s_sweep.launch.slurm.limits import Partition, default_partitions, named_partitions
from w2s_sweep.launch.slurm.resources import NOTHING, Ask, ask_of
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.plan.packs import Pack, divide
from w2s_sweep.plan.stage import Stage

WORTH_SECONDS = 60.0
"""Work of a task that is worth its start: Python, torch and the model are loaded once more."""


@dataclass
class Division:
    """Into how many tasks stages of one model are divided (`plan.packs.Share`)."""

    settings: Settings
    nodes: Sequence[Node]
    default: Sequence[str] = ()
    """Partitions of tasks that name none."""
    learned: Learned = NOTHING
    room: int | None = None
    """Tasks that may be submitted now; None: as many as there are."""
    widths: set[int] = field(default_factory=set[int], init=False)
    """Those by which something was divided."""

    def __call__(self, stages: Sequence[Stage[Kind]], flops: float) -> float:
        if len(stages) < 2 or not (self.settings.width or self.nodes):
            return math.inf
        ask = ask_of(Pack("", tuple(stages), frozenset()), self.settings, self.learned)
        width = self.settings.width or self.free(ask)
        share = divide(stages, flops, width, WORTH_SECONDS * _speed(ask, self.settings))
        if share < math.inf:
            self.widths.add(width)
        return share

    def free(self, ask: Ask) -> int:
        """Tasks that could start now."""
        there = set(named_partitions(ask.partition, self.default))
        fits = sum(node.room(ask) for node in self.nodes if node.partitions & there)
        return min(self.settings.max_parallel, fits, fits if self.room is None else self.room)

    def __str__(self) -> str:
        """What to tell; empty where nothing was divided."""
        if not self.widths:
            return ""
        why = "hydra.launcher.width" if self.settings.width else "for so many the cluster has room now"
        return f"stages that share a model are divided among {', '.join(map(str, sorted(self.widths)))} tasks ({why})"


def division(
    settings: Settings,
    partitions: Mapping[str, Partition],
    nodes: Callable[[], Sequence[Node]],
    learned: Learned = NOTHING,
    room: int | None = None,
) -> Division:
    """By the setting, else by what is free of `nodes` now, and by how many tasks there is room for."""
    return Division(settings, [] if settings.width else nodes(), default_partitions(partitions), learned, room)


def _speed(ask: Ask, settings: Settings) -> float:
    """FLOP/s of a task, about."""
    return ask.gpus * settings.gpu_tflops * 1e12 if ask.gpus else ask.cpus * CORE_FLOPS
