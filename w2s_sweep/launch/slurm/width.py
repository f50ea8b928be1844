"""How many tasks the cluster could start at once: stages that share a model are divided among so many.

What is free is looked up when a sweep is submitted, once, and is a guess: others submit too, and what waits for other
stages starts later. `hydra.launcher.width` says it instead.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from w2s_sweep.kinds import Kind
from w2s_sweep.launch.estimate import CORE_FLOPS
from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.learned import Learned
from w2s_sweep.launch.slurm.limits import Partition, default_partitions, named_partitions
from w2s_sweep.launch.slurm.resources import NOTHING, Ask, ask_of
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.plan.packs import Pack, divide
from w2s_sweep.plan.stage import Stage

WORTH_SECONDS = 60.0
"""Work of a task that is worth its start: Python, torch and the model are loaded once more."""
USABLE, HARMLESS = {"IDLE", "MIXED"}, {"CLOUD", "POWERED_DOWN"}
"""States of nodes that take jobs, and what may stand behind them; other words (DRAIN, PLANNED, ...) keep jobs off."""


@dataclass(frozen=True)
class Node:
    """What of a node is free."""

    partitions: frozenset[str]
    cpus: int
    memory_mb: int
    gpus: int

    def room(self, ask: Ask) -> int:
        """Tasks of this kind that it could start now."""
        fits = [self.cpus // ask.cpus, self.memory_mb // (1024 * ask.memory_gb)]
        return max(0, min([*fits, self.gpus // ask.gpus] if ask.gpus else fits))


def read_nodes() -> list[Node]:
    """Nodes that take jobs; empty where SLURM does not show them."""
    found = commands.show("node", "--detail")
    return [_node(one) for one in found if _takes_jobs(one.get("State", ""))]


def _takes_jobs(state: str) -> bool:
    first, *more = state.split("+")
    return first in USABLE and HARMLESS.issuperset(more)


def _node(said: Mapping[str, str]) -> Node:
    return Node(
        frozenset(said.get("Partitions", "").split(",")),
        _number(said, "CPUTot") - _number(said, "CPUAlloc"),
        _number(said, "RealMemory") - _number(said, "AllocMem"),
        sum(_gpus(said.get("Gres", ""))) - sum(_gpus(said.get("GresUsed", ""))),
    )


def _number(said: Mapping[str, str], name: str) -> int:
    word = said.get(name, "")
    return int(word) if word.isdigit() else 0


def _gpus(text: str) -> Iterator[int]:
    """`gpu:a100:4(S:0-1),nvme:1`, `gpu:a100:2(IDX:0,3)` -> numbers of GPUs."""
    for part in text.split(","):
        words = part.partition("(")[0].split(":")
        if words[0] == "gpu" and words[-1].isdigit():
            yield int(words[-1])


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
        there = set(named_partitions(ask, self.default))
        fits = sum(node.room(ask) for node in self.nodes if node.partitions & there)
        return min(self.settings.max_parallel, fits, fits if self.room is None else self.room)

    def __str__(self) -> str:
        """What to tell; empty where nothing was divided."""
        if not self.widths:
            return ""
        why = "hydra.launcher.width" if self.settings.width else "for so many the cluster has room now"
        return f"stages that share a model are divided among {', '.join(map(str, sorted(self.widths)))} tasks ({why})"


def division(
    settings: Settings, partitions: Mapping[str, Partition], learned: Learned = NOTHING, room: int | None = None
) -> Division:
    """By the setting, else by what is free now, and by how many tasks there is room for."""
    nodes = [] if settings.width else read_nodes()
    return Division(settings, nodes, default_partitions(partitions), learned, room)


def _speed(ask: Ask, settings: Settings) -> float:
    """FLOP/s of a task, about."""
    return ask.gpus * settings.gpu_tflops * 1e12 if ask.gpus else ask.cpus * CORE_FLOPS
