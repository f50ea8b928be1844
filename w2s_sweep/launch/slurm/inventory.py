"""What the cluster's nodes have, and what of it is free now."""

from collections.abc import Mapping
from dataclasses import dataclass

from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.resources import Ask
from w2s_sweep.launch.slurm.words import count_of, gpus_of_gres

USABLE, HARMLESS = {"IDLE", "MIXED"}, {"CLOUD", "POWERED_DOWN"}
"""States of nodes that take jobs, and what may stand behind them; other words (DRAIN, PLANNED, ...) keep jobs off."""


@dataclass(frozen=True)
class Node:
    """One of them, whether it takes jobs now or not."""

    partitions: frozenset[str]
    memory_mb: int
    """For jobs: without what is SLURM's own."""
    cpus: int
    gpus: int
    takes_jobs: bool
    free_cpus: int
    free_mb: int
    free_gpus: int

    def room(self, ask: Ask) -> int:
        """Tasks of this kind that it could start now."""
        if not self.takes_jobs:
            return 0
        fits = [self.free_cpus // ask.cpus, self.free_mb // (1024 * ask.memory_gb)]
        return max(0, min([*fits, self.free_gpus // ask.gpus] if ask.gpus else fits))


def read_nodes() -> list[Node]:
    """All nodes; empty where SLURM does not show them."""
    return [_node(one) for one in commands.show("node", "--detail")]


def _node(said: Mapping[str, str]) -> Node:
    state, *more = said.get("State", "").split("+")
    memory, gpus = _number(said, "RealMemory") - _number(said, "MemSpecLimit"), _gpus(said, "Gres")
    cpus = _number(said, "CPUTot")
    return Node(
        partitions=frozenset(said.get("Partitions", "").split(",")),
        memory_mb=memory,
        cpus=cpus,
        gpus=gpus,
        takes_jobs=state in USABLE and HARMLESS.issuperset(more),
        free_cpus=cpus - _number(said, "CPUAlloc"),
        free_mb=memory - _number(said, "AllocMem"),
        free_gpus=gpus - _gpus(said, "GresUsed"),
    )


def _number(said: Mapping[str, str], name: str) -> int:
    return count_of(said.get(name)) or 0


def _gpus(said: Mapping[str, str], name: str) -> int:
    return gpus_of_gres(said.get(name, "")) or 0
