"""How long a grid of ten thousand finished cells takes to collect, to write and draw, and to hand to a tracker; and the
whole `w2s report`, in a process of its own.

    python -m benchmarks.report [--cells 10000] [--rows 500] [--evaluations 10] [--keep FOLDER]

Nothing is trained: predictions are drawn at random, in the layout of a sweep of 10 losses, 10 pairs of models and 5
seeds, as many datasets as it takes. Seconds of the wall and of the processor, of this process and its children.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.clock import processor
from benchmarks.grid import ROOT
from tests.results_store import NAME, key_of
from w2s_sweep.predictions import CURVE, FILE, Evaluated, Predictions, write_curve, write_predictions
from w2s_sweep.results.collect import collect
from w2s_sweep.results.outcome import outcome_of
from w2s_sweep.results.report import write_results
from w2s_sweep.store import Store
from w2s_sweep.store.files import manifest_of

LOSSES = [{"name": f"loss{i}"} for i in range(9)] + [{"name": "xent"}]
PAIRS = list(product(("w14", "w31", "w70", "w160", "w410"), ("s1000", "s2800")))
SEEDS = range(5)
ACCURACY = {"weak": 0.7, "student": 0.75, "ceiling": 0.85}


def logits_of(random: np.random.Generator, truth: np.ndarray, accuracy: float) -> np.ndarray:
    """[rows, 2] float32: right as often as `accuracy` says, with any margin."""
    margin = np.abs(random.normal(1.5, 1, len(truth))) * np.where(random.random(len(truth)) < accuracy, 1, -1)
    return np.stack([-margin, margin], axis=1).astype(np.float32) * np.where(truth == 1, 1, -1)[:, None] / 2


def probs_of(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits)
    return (raised / raised.sum(1, keepdims=True)).astype(np.float32)


def put(store: Store, key: str, role: str, truth: np.ndarray, evaluations: int) -> None:
    """A finished stage: as many training rows as test rows, of which the latter are evaluated."""
    random, rows, folder = np.random.default_rng(int(key[:8], 16)), len(truth), store.path(key)
    folder.mkdir(parents=True)
    ids = np.array([f"{i:020x}" for i in range(2 * rows)], dtype=object)
    logits = logits_of(random, np.tile(truth, 2), ACCURACY[role])
    splits = np.repeat(np.array(["half_b", "test"], dtype=object), rows)
    seen = np.full((2 * rows, 2), np.nan, dtype=np.float32)
    write_predictions(folder / FILE, Predictions(ids, splits, np.tile(truth, 2), logits, probs_of(logits), seen))
    shares = np.linspace(0.6, ACCURACY[role], evaluations)
    curve = [
        Evaluated(10 * (i + 1), 10 * evaluations, ids[rows:], probs_of(logits_of(random, truth, share)))
        for i, share in enumerate(shares)
    ]
    if curve:
        write_curve(folder / CURVE, curve)
    lines = [{"step": i + 1, "total": 100, "loss": 0.7 / (i + 1), "lr": 1e-4} for i in range(100)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "summary.json").write_text(json.dumps({"label": role, "seconds": 1.5}))
    (folder / "preimage.json").write_text(
        json.dumps({"kind": "finetune", "version": 1, "settings": {"loss": {"name": "x"}}, "inputs": {}})
    )
    (folder / "manifest.json").write_text(json.dumps({"key": key, "files": manifest_of(folder)}))


def build(root: Path, cells: int, rows: int, evaluations: int) -> Store:
    """A store with a sweep of at least so many cells, each on so many test rows."""
    store, stages, made = Store(root), dict[str, Any](), list[dict[str, Any]]()
    store.prepare()
    datasets = range(-(-cells // (len(LOSSES) * len(PAIRS) * len(SEEDS))))
    for dataset, (weak, strong), loss, seed in product(datasets, PAIRS, LOSSES, SEEDS):
        names = {"weak": (weak,), "student": (weak, strong, loss["name"]), "ceiling": (strong,)}
        roles = {role: key_of(role, *name, dataset, seed) for role, name in names.items()}
        for role, key in roles.items():
            if key not in stages:
                stages[key] = {"label": role, "kind": "finetune", "role": role, "inputs": {}}
                truth = np.random.default_rng([dataset, seed]).integers(0, 2, rows).astype(np.int8)
                put(store, key, role, truth, evaluations)
        models = {
            side: {"name": name, "params": int(name[1:]) * 10**6} for side, name in (("weak", weak), ("strong", strong))
        }
        others = {"method": {"name": "naive"}, "finetune": {"name": "lora"}, "metric": "accuracy", "loss": loss}
        cell = {"dataset": {"name": f"task{dataset}"}, **models, **others, "seed": seed}
        made.append({"overrides": [f"seed={seed}"], "cell": cell, "roles": roles})
    settings = {"tracker": {"name": "none"}, "modules": []}
    record = {"name": NAME, "created": "", "command": [], "settings": settings, "cells": made, "stages": stages}
    store.sweep(NAME).mkdir(parents=True)
    (store.sweep(NAME) / "sweep.json").write_text(json.dumps(record))
    return store


def timed(name: str, cells: int, work: Callable[[], Any]) -> Any:
    """What some work returns; says how long it took."""
    began, before = time.monotonic(), processor()
    found = work()
    wall, cpu = time.monotonic() - began, processor() - before
    print(f"{name:10} {wall:8.1f} s  processor {cpu:8.1f} s  {1000 * wall / cells:6.2f} ms a cell", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--evaluations", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="where the store is made, or is from last time")
    words = parser.parse_args()
    with TemporaryDirectory() as folder:
        root = words.keep or Path(folder)
        store = Store(root)
        if not store.sweep(NAME).is_dir():
            store = timed("made", words.cells, lambda: build(root, words.cells, words.rows, words.evaluations))
        results = timed("collect", words.cells, lambda: collect(store, NAME))
        timed("report", words.cells, lambda: write_results(store, results, store.sweep(NAME)))
        timed("outcome", words.cells, lambda: outcome_of(store, results))
        command = ["-m", "w2s_sweep.cli", "--store", str(root), "report", NAME]
        timed(
            "command",
            words.cells,
            lambda: subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL, check=True),
        )
        print(f"{len(results.rows)} cells, {len(results.record['stages'])} stages, {len(results.curves)} points")
        print(f"most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.1f} GiB")


if __name__ == "__main__":
    main()
