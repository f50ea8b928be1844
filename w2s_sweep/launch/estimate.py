"""What the new stages of a plan will take: from finished stages of the store that are alike, else from their FLOPs."""

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import median

from w2s_sweep.amounts import show_bytes, show_time
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.source import LocalSource
from w2s_sweep.kinds import Kind
from w2s_sweep.kinds.cost import Cost, sizes_of
from w2s_sweep.launch.needs import memory_of
from w2s_sweep.plan.stage import Stage
from w2s_sweep.runner.context import seconds_alone
from w2s_sweep.store import Store
from w2s_sweep.store.files import number_in, read_json

CORE_FLOPS = 5e10
"""Sustained FLOP/s of a CPU core, about: those of experiment=demo on two cores without AVX-512."""
GPU_FLOPS = 5e13
"""Sustained FLOP/s of a GPU, about."""
OTHER_SECONDS = 2.0
"""What a stage takes whose FLOPs say nothing: rows that are read and divided, probes, labels."""
START_BYTES = 5e8
"""Python with torch."""
SEED = re.compile(r" seed \d+.*")


@dataclass(frozen=True)
class Expected:
    """What stages take, one after another."""

    stages: int
    work: Cost
    seconds: float
    timed: int
    """Stages whose time is that of finished ones like them."""
    memory: float
    """Bytes of the machine's memory of the largest one, where it runs on the CPU."""
    disk: float
    """Bytes of what they write."""

    def __str__(self) -> str:
        source = (
            f"{self.timed} timed by finished stages like them" if self.timed else "from FLOPs, good to a factor of 3"
        )
        memory = f", {show_bytes(self.memory)} of memory" if self.memory else ""
        return (
            f"expected: {self.stages} new stages, about {show_time(self.seconds)} one after another ({source})"
            f"{memory}, {show_bytes(self.disk)} of disk"
        )


def expect(stages: Sequence[Stage[Kind]], store: Store, on_gpu: bool, threads: int = 0) -> Expected:
    """`stages`: what is to run; `threads`: of a CPU stage, 0 is all cores."""
    known = finished_like(store, {alike(stage.label) for stage in stages}, {stage.key for stage in stages})
    made = {key: _examples_of(store, key) for key in {one.inputs["data"] for one in stages if "data" in one.inputs}}
    speed = GPU_FLOPS if on_gpu else CORE_FLOPS * (threads or os.cpu_count() or 1)
    seconds, disk, timed, work = 0.0, 0.0, 0, Cost()
    for stage in stages:
        cost, name = scaled_cost(stage, made), alike(stage.label)
        work += cost
        if name in known:
            spent, size = known[name]
            seconds, disk, timed = seconds + spent, disk + size, timed + 1
        else:
            seconds, disk = seconds + OTHER_SECONDS + cost.flops / speed, disk + _bytes(stage, cost)
    return Expected(len(stages), work, seconds, timed, 0.0 if on_gpu else _memory(stages), disk)


def alike(label: str) -> str:
    """What stages have in common that take about as long: kind, role, model, rows, loss; not the seed."""
    return SEED.sub("", label)


def finished_like(store: Store, wanted: set[str], new: Set[str] = frozenset()) -> Mapping[str, tuple[float, float]]:
    """What stages are like -> (median seconds, median bytes) of finished ones, of the newest sweeps of the store.

    `new`: keys of stages that are not finished.
    """
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for key in store.recent_stages(lambda one: alike(one.label) in wanted, but=new):
        said = read_json(store.path(key) / "summary.json") or {}
        name, seconds = alike(str(said.get("label", ""))), seconds_alone(said)
        if name in wanted and seconds is not None:
            found[name].append((seconds, float(store.size(key))))
    return {name: (median(s for s, _ in many), median(b for _, b in many)) for name, many in found.items()}


def _examples_of(store: Store, key: str) -> int | None:
    """Examples of a data stage; None where it is not there yet."""
    examples = number_in(read_json(store.path(key) / "summary.json") or {}, "examples")
    return None if examples is None else int(examples)


def scaled_cost(stage: Stage[Kind], made: Mapping[str, int | None]) -> Cost:
    """The cost of a stage with the rows that its data have, where that is known before anything is read.

    `made`: key of a data stage -> its examples, where it is finished.
    """
    cost, sizes = stage.cost, sizes_of(stage.hints.dataset)
    rows = made.get(stage.inputs.get("data", "")) or _rows_of(stage.hints.dataset)
    share = min(1.0, rows / (sizes.train + sizes.test)) if rows else 1.0
    return replace(cost, examples=share * cost.examples, tokens=share * cost.tokens, flops=share * cost.flops)


@lru_cache(maxsize=256)
def _rows_of(dataset: Dataset) -> int | None:
    """Rows of a file of one's own, counted; None for what would have to be fetched or decoded."""
    path = Path(dataset.source.path).expanduser() if isinstance(dataset.source, LocalSource) else None
    if path is None or not path.is_file() or path.suffix not in {".jsonl", ".csv", ".tsv"}:
        return None
    with path.open("rb") as file:
        lines = sum(1 for line in file if line.strip())
    return max(lines - (path.suffix != ".jsonl"), 1)  # a table has a line of names


def _bytes(stage: Stage[Kind], cost: Cost) -> float:
    """Features are rows of the width of a model, in 32 bits; all else is predictions and curves."""
    if stage.kind == "features":
        return 4.0 * stage.hints.of_model.hidden * cost.examples
    return 100.0 * (sizes_of(stage.hints.dataset).test or 1) + 1e5


def _memory(stages: Sequence[Stage[Kind]]) -> float:
    return max((memory_of(stage).fixed for stage in stages), default=0.0) + START_BYTES
