"""What looks into a large store cost: nothing may look at every stage.

    python -m benchmarks.large_store [--stages 50000] [--sweeps 50]

A made-up store of stages of one kind is written (a gigabyte of small files at 50,000), and removed at the end. Printed
are seconds of the processor, the least of three; on a network file system each file that is opened is a round trip
beside that. The exit status is 1 where a bound is exceeded.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.setups import cell, identify
from w2s_sweep.cells.merge import merge
from w2s_sweep.kinds import Kind
from w2s_sweep.launch.estimate import alike, finished_like
from w2s_sweep.launch.slurm.learned import learn_used
from w2s_sweep.launch.status import stage_states
from w2s_sweep.plan.stage import Stage
from w2s_sweep.store import Store
from w2s_sweep.store.records import NamedStage

BOUND = 1.0
"""Seconds, of each look."""


def make(store: Store, like: Stage[Kind], stages: int, sweeps: int) -> list[str]:
    """Finished stages that differ from `like` in their seed, in so many sweeps; returns their keys."""
    store.prepare()
    keys = [hashlib.sha256(str(number).encode()).hexdigest()[:20] for number in range(stages)]
    summary = {"label": like.label, "seconds": 100.0, "GPUs": 0, "peak RSS GB": 1.0}
    texts = {"preimage.json": json.dumps(like.preimage), "summary.json": json.dumps(summary)}
    for key in keys:
        files = {name: {"size": len(text), "sha256": "0" * 64} for name, text in texts.items()}
        store.path(key).mkdir()
        for name, text in (texts | {"manifest.json": json.dumps({"key": key, "files": files})}).items():
            (store.path(key) / name).write_text(text)
    for number in range(sweeps):
        name_stages(store, f"sweep-{number}", keys[number::sweeps], like)
    name_stages(store, "small", keys[:6], like)
    return keys


def name_stages(store: Store, sweep: str, keys: Sequence[str], like: Stage[Kind]) -> None:
    """A record as long as that of a sweep, by its cells."""
    named = {key: {"label": like.label, "kind": like.kind, "inputs": {}} for key in keys}
    record = {
        "name": sweep,
        "stages": named,
        "cells": [{"roles": {"student": key}, "cell": "." * 3000} for key in keys],
    }
    store.sweep(sweep).mkdir()
    (store.sweep(sweep) / "sweep.json").write_text(json.dumps(record))
    store.list_stages(sweep, [NamedStage(key, like.kind, like.label) for key in keys])


def seconds(look: Callable[[], object]) -> float:
    """Of the processor, the least of three."""
    spent: list[float] = []
    for _ in range(3):
        began = time.process_time()
        look()
        spent.append(time.process_time() - began)
    return min(spent)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_store", description=__doc__)
    parser.add_argument("--stages", type=int, default=50_000)
    parser.add_argument("--sweeps", type=int, default=50)
    args = parser.parse_args()
    graph = merge([cell(weak="w0", strong="s0", seed=0)], identify)
    new = graph.stages[graph.roles[0].student]
    with tempfile.TemporaryDirectory(prefix="w2s-large-store-") as folder:
        store = Store(Path(folder) / "store")
        keys = make(store, new, args.stages, args.sweeps)
        looks: dict[str, Callable[[], object]] = {
            "what a submission learns": lambda: learn_used(store, [new]),
            "what a plan expects": lambda: finished_like(store, {alike(new.label)}),
            "status of a sweep of six stages": lambda: stage_states(store, "small"),
            "a stage by its whole key": lambda: store.find(keys[7]),
            "a stage by ten digits": lambda: store.find(keys[7][:10]),
            "a stage that never ran": lambda: store.find_named("0" * 10),
        }
        found = {name: seconds(look) for name, look in looks.items()}
    for name, spent in found.items():
        print(f"{name}: {spent:.3f} s")
    return int(max(found.values()) > BOUND)


if __name__ == "__main__":
    sys.exit(main())
