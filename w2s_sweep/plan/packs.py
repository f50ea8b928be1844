"""Packs: stages of one process, run one after another or some at once, because they share a model and a dataset.

Stages of one (model, dataset) at the same depth of model changes form a pack: a pack only ever waits for packs of a
smaller depth, so packs form a graph of their own. Expensive stages get a process each: `max_flops` bounds a pack, and
where several could run at the same time, packs are divided until all have work. Which packs there are changes no key
and no result.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from w2s_sweep.config.model import Model
from w2s_sweep.kinds import Kind
from w2s_sweep.kinds.data import Data
from w2s_sweep.kinds.forward import Features
from w2s_sweep.kinds.training import Tuned
from w2s_sweep.plan.graph import Graph
from w2s_sweep.plan.stage import Stage, canonical, digest
from w2s_sweep.sources import find
from w2s_sweep.sources.weights import read_config


@dataclass(frozen=True)
class Pack:
    """Stages of one process, in an order in which they can run."""

    name: str
    stages: tuple[Stage[Kind], ...]
    waits_for: frozenset[str]
    """Keys of stages outside the pack that have to be finished first."""

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(stage.key for stage in self.stages)


def affinity(stage: Stage[Kind]) -> Hashable:
    """Stages with the same affinity load the same weights and rows; labels are made where their model is at work."""
    if stage.kind == Data.kind:
        return stage.key
    model, data = stage.hints.model, stage.hints.data or stage.inputs["data"]
    return data, stage.hints.adapted, None if model is None else (model.source, model.keep_layers)


def frozen_base(stage: Stage[Kind]) -> Hashable:
    """Stages of one pack with the same one can be trained at the same time; None of those that cannot."""
    own = stage.settings.frozen_base()
    return None if own is None else (affinity(stage), own)


def explain_cotrain(stages: Iterable[Stage[Kind]], most: int) -> Sequence[str]:
    """What to say of a plan where up to `most` stages are to train at the same time and some can not."""
    if most == 1:
        return ()
    bases = Counter(
        None if _reads_distances(stage.hints.of_model, canonical(stage.settings.weights)) else frozen_base(stage)
        for stage in stages
        if isinstance(stage.settings, Tuned)
    )
    alone = sum(count for base, count in bases.items() if base is None or count == 1)
    said = (
        f"cotrain={most}: {alone} of {bases.total()} stages train alone all the same; together go LoRA students of one "
        "model (none of DeBERTa) and dataset, without finetune.dropout, finetune.dora, implicit rewards or generated "
        "answers, on one GPU"
    )
    return (said,) if alone else ()


@lru_cache(maxsize=256)
def _reads_distances(model: Model, weights: str) -> bool:
    """Whether the attention of a model reads embeddings of distances (DeBERTa), which no rows of one student are: its
    steps are computed one by one (`models.grouped`). Known where its config.json is on this machine."""
    folder = find(model.source, json.loads(weights), "model")
    return folder is not None and bool(read_config(folder).get("relative_attention"))


def model_changes(graph: Graph) -> Mapping[str, int]:
    """How often the model changes on the longest path to each stage."""
    level: dict[str, int] = {}
    for key, stage in graph.stages.items():
        home = affinity(stage)
        steps = (level[k] + (affinity(graph.stages[k]) != home) for k in stage.inputs.values())
        level[key] = max(steps, default=0)
    return level


def _price(stage: Stage[Kind]) -> float:
    """FLOPs of what could run beside others: what reads features waits for them anyway."""
    return 0.0 if stage.kind == Features.kind else stage.cost.flops


Share = Callable[[Sequence[Stage[Kind]], float], float]
"""Stages that could be one pack, and the FLOPs of all at their depth but features -> the most FLOPs of a pack."""


def keep_together(stages: Sequence[Stage[Kind]], flops: float) -> float:
    """One pack, however many could run at the same time."""
    return math.inf


def divide(stages: Sequence[Stage[Kind]], flops: float, width: int, least: float = 0.0) -> float:
    """The most FLOPs of a pack where everything at the depth of `stages` is to become `width` packs, about.

    In whole stages of the mean price, so that twelve equal ones become packs of three for five places, not of two:
    both need the time of three stages or more, and fewer packs load the model less often. No pack of less than `least`
    FLOPs is split off. Features do not count.
    """
    prices = [price for stage in stages if (price := _price(stage))]
    if width <= 1 or len(prices) < 2:
        return math.inf
    mean = sum(prices) / len(prices)
    # A little more than whole stages, as sums of floats are not exact.
    share = (1 + 1e-9) * mean * math.ceil(max(flops / width, least) / mean - 1e-9)
    return share if sum(prices) > share else math.inf


def make_packs(graph: Graph, keys: Iterable[str], max_flops: float, share: Share = keep_together) -> list[Pack]:
    """Split the stages `keys` into packs, each after the packs it waits for."""
    wanted = set(keys)
    level = model_changes(graph)
    groups: dict[tuple[int, Hashable], list[Stage[Kind]]] = {}
    for key, stage in graph.stages.items():
        if key in wanted:
            groups.setdefault((level[key], affinity(stage)), []).append(stage)
    flops: dict[int, float] = {}
    for (depth, _), stages in groups.items():
        flops[depth] = flops.get(depth, 0.0) + sum(map(_price, stages))
    packs: list[Pack] = []
    for (depth, _), stages in sorted(groups.items(), key=lambda item: item[0][0]):
        packs += [_pack(chunk) for chunk in _chunks(stages, min(max_flops, share(stages, flops[depth])))]
    return packs


def _chunks(stages: list[Stage[Kind]], max_flops: float) -> list[list[Stage[Kind]]]:
    """Split a group where it gets too expensive; the features that the rest of it reads stay in front, alone.

    Labels follow the stage that they are made of. Made of several chunks, or of none, they are a chunk of their own,
    and no earlier chunk grows after them: a chunk only ever waits for chunks before it.
    """
    if sum(stage.cost.flops for stage in stages) <= max_flops:
        return [stages]
    chunks: list[list[Stage[Kind]]] = [[]]
    home: dict[str, list[Stage[Kind]]] = {}
    spent = 0.0
    for stage in stages:
        price = stage.cost.flops
        found = [home[key] for key in stage.inputs.values() if key in home]
        if stage.settings.makes_labels and found and all(chunk is found[0] for chunk in found):
            found[0].append(stage)
            home[stage.key] = found[0]
            continue
        alone = stage.settings.makes_labels
        if alone or (chunks[-1] and spent + price > max_flops and stage.kind != Features.kind):
            chunks.append([])
            spent = 0.0
        chunks[-1].append(stage)
        home[stage.key] = chunks[-1]
        spent += price
        if alone:
            chunks.append([])
    return [chunk for chunk in chunks if chunk]


def _pack(stages: list[Stage[Kind]]) -> Pack:
    keys = [stage.key for stage in stages]
    outside = {key for stage in stages for key in stage.inputs.values()} - set(keys)
    return Pack(f"pack-{digest(keys)[:10]}", tuple(stages), frozenset(outside))
