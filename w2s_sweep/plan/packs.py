"""Packs: stages run one after another in one process because they share a model and a dataset.

Stages of one (model, dataset) at the same depth of model changes form a pack: a pack only ever waits for packs of a
smaller depth, so packs form a graph of their own. Expensive stages get a process each: `max_flops` bounds a pack.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from w2s_sweep.plan.cost import cost
from w2s_sweep.plan.graph import Graph
from w2s_sweep.plan.stage import LABELLING, Stage, digest


@dataclass(frozen=True)
class Pack:
    """Stages of one process, in an order in which they can run."""

    name: str
    stages: tuple[Stage, ...]
    waits_for: frozenset[str]
    """Keys of stages outside the pack that have to be finished first."""

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(stage.key for stage in self.stages)


def affinity(stage: Stage) -> str:
    """Stages with the same affinity load the same weights and rows; labels are made where their model is at work."""
    if stage.kind == "data":
        return f"data {stage.key}"
    model = stage.run.get("model", {})
    data = stage.run["data"] if stage.kind in LABELLING else stage.inputs["data"]
    adapted = stage.run.get("adapted")
    weights = {"model": model.get("source"), "keep_layers": model.get("keep_layers"), "data": data}
    return digest(weights if adapted is None else weights | {"adapted": adapted})


def model_changes(graph: Graph) -> Mapping[str, int]:
    """How often the model changes on the longest path to each stage."""
    level: dict[str, int] = {}
    for key, stage in graph.stages.items():
        home = affinity(stage)
        steps = (level[k] + (affinity(graph.stages[k]) != home) for k in stage.inputs.values())
        level[key] = max(steps, default=0)
    return level


def make_packs(graph: Graph, keys: Iterable[str], max_flops: float) -> list[Pack]:
    """Deal the stages `keys` out to packs, each after the packs it waits for."""
    wanted = set(keys)
    level = model_changes(graph)
    groups: dict[tuple[int, str], list[Stage]] = {}
    for key, stage in graph.stages.items():
        if key in wanted:
            groups.setdefault((level[key], affinity(stage)), []).append(stage)
    packs: list[Pack] = []
    for _, stages in sorted(groups.items(), key=lambda item: item[0][0]):
        packs += [_pack(chunk) for chunk in _chunks(stages, max_flops)]
    return packs


def _chunks(stages: list[Stage], max_flops: float) -> list[list[Stage]]:
    """Split a group where it gets too expensive; the features that the rest of it reads stay in front, alone.

    Labels follow the stage that they are made of. Made of several chunks, or of none, they are a chunk of their own,
    and no earlier chunk grows after them: a chunk only ever waits for chunks before it.
    """
    if sum(cost(stage).flops for stage in stages) <= max_flops:
        return [stages]
    chunks: list[list[Stage]] = [[]]
    home: dict[str, list[Stage]] = {}
    spent = 0.0
    for stage in stages:
        price = cost(stage).flops
        found = [home[key] for key in stage.inputs.values() if key in home]
        if stage.kind in LABELLING and found and all(chunk is found[0] for chunk in found):
            found[0].append(stage)
            home[stage.key] = found[0]
            continue
        alone = stage.kind in LABELLING
        if alone or (chunks[-1] and spent + price > max_flops and stage.kind != "features"):
            chunks.append([])
            spent = 0.0
        chunks[-1].append(stage)
        home[stage.key] = chunks[-1]
        spent += price
        if alone:
            chunks.append([])
    return [chunk for chunk in chunks if chunk]


def _pack(stages: list[Stage]) -> Pack:
    keys = [stage.key for stage in stages]
    outside = {key for stage in stages for key in stage.inputs.values()} - set(keys)
    return Pack(f"pack-{digest(keys)[:10]}", tuple(stages), frozenset(outside))
