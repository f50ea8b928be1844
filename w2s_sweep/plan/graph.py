"""The merged graph of a sweep: the union of all cells' stages, equal keys once, in an order in which they can run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from w2s_sweep.kinds import Kind
from w2s_sweep.plan.roles import Roles
from w2s_sweep.plan.stage import Stage

PlanState = Literal["done", "in flight", "to run", "not needed"]

ABSENT = "not in the store"
"""The usual reason for a stage to run."""


@dataclass(frozen=True)
class Graph:
    """Stages by key, each after its inputs, and the roles of every cell."""

    stages: Mapping[str, Stage[Kind]]
    roles: Sequence[Roles]
    """Of each cell, in the order of the cells."""
    asked: int
    """Stages of all cells counted cell by cell: what a sweep without merging would run."""


@dataclass(frozen=True)
class Plan:
    """A graph and what is to be done about each stage."""

    graph: Graph
    states: Mapping[str, PlanState]
    reasons: Mapping[str, str]
    """Why a stage is in its state, in words."""

    def keys(self, *states: PlanState) -> list[str]:
        return [key for key in self.graph.stages if self.states[key] in states]

    def stages(self, *states: PlanState) -> list[Stage[Kind]]:
        return [self.graph.stages[key] for key in self.keys(*states)]


def make_plan(
    graph: Graph,
    done: Callable[[str], bool],
    owner: Callable[[str], str | None],
    damaged: Callable[[str], bool] = lambda key: False,
) -> Plan:
    """Decide for each stage, from the cells' roles backwards: what only finished stages read is not made again.

    `done(key)`: a sound result is in the store. `owner(key)`: who runs it now, or None. `damaged(key)`: a folder is
    there but cannot be trusted.
    """
    states: dict[str, PlanState] = {}
    reasons: dict[str, str] = {}
    needed = {key for roles in graph.roles for key in roles.keys()}  # noqa: SIM118 - not a dict
    for key, stage in reversed(list(graph.stages.items())):
        if done(key):
            states[key], reasons[key] = "done", "in the store"
        elif key not in needed:
            states[key], reasons[key] = "not needed", "everything that reads it is done or in flight"
        elif running := owner(key):
            states[key], reasons[key] = "in flight", running
        else:
            states[key] = "to run"
            reasons[key] = "its folder in the store is damaged" if damaged(key) else ABSENT
            needed.update(stage.inputs.values())
    return Plan(graph, states, reasons)
