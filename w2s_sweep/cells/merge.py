"""The merged graph of a sweep: the union of all cells' stages, equal keys once."""

from collections.abc import Sequence

from w2s_sweep.cells.cell import Cell
from w2s_sweep.kinds import Kind
from w2s_sweep.plan.builder import Builder, Roles
from w2s_sweep.plan.graph import Graph
from w2s_sweep.plan.inputs import Identify, Made
from w2s_sweep.plan.stage import Stage


def merge(cells: Sequence[Cell], identify: Identify) -> Graph:
    """The graph of all cells; stages keep the order in which a method named them, inputs before users."""
    stages: dict[str, Stage[Kind]] = {}
    roles: list[Roles] = []
    made: Made = {}
    asked = 0
    for cell in cells:
        build = Builder(cell, identify, made)
        roles.append(build.with_tests(cell.method.graph(cell, build)))
        asked += len(build.stages)
        for key, stage in build.stages.items():
            stages.setdefault(key, stage)
    return Graph(stages, roles, asked)
