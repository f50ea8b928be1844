"""Small stores with made-up predictions for the tests of results, report and tracking."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from w2s_sweep.metrics import accuracy, auroc
from w2s_sweep.predictions import CURVE, FILE, Evaluated, Predictions, write_curve, write_predictions
from w2s_sweep.results.answers import AnswersReader
from w2s_sweep.store import Store
from w2s_sweep.store.files import write_json

NAME = "made-up"
LOSSES: tuple[dict[str, Any], ...] = (
    {"name": "xent"},
    {"name": "confidence", "alpha_max": 0.75},
    {"name": "confidence", "alpha_max": 0.5},
)
SIZES = ("w14", "w70", "s160", "s410", "s1000", "s2800")
PARAMS = {name: int(name[1:]) * 10**6 for name in SIZES}


def key_of(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:20]


def made_up(truth: np.ndarray, right: np.ndarray, classes: int = 2, shuffle: int | None = None) -> Predictions:
    """Test predictions that are right where `right` is true; `shuffle` writes the rows in another order."""
    n = len(truth)
    said = np.where(right, truth, (truth + 1) % classes)
    logits = np.random.default_rng(0).normal(0, 0.1, (n, classes)).astype(np.float32)
    logits[np.arange(n), said] += 2
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    order = np.arange(n) if shuffle is None else np.random.default_rng(shuffle).permutation(n)
    return Predictions(
        ids=np.array([f"row-{i:05d}" for i in order], dtype=object),
        splits=np.array(["test"] * n, dtype=object),
        truth=truth[order].astype(np.int8),
        logits=logits[order],
        probs=probs[order].astype(np.float32),
        seen=np.full((n, classes), np.nan, dtype=np.float32),
    )


def put_stage(
    store: Store, key: str, label: str, predictions: Predictions, steps: int = 5, curve: Sequence[Evaluated] = ()
) -> None:
    """Publish a finished trained stage."""
    with store.attempt(key) as out:
        if curve:
            write_curve(out / CURVE, curve)
        write_predictions(out / FILE, predictions)
        rows = [{"step": i + 1, "total": steps, "loss": 0.7 / (i + 1), "lr": 1e-4} for i in range(steps)]
        rows += [{"step": one.step, "total": one.steps} | _scores(one, predictions) for one in curve]
        (out / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        write_json(out / "summary.json", {"label": label, "seconds": 1.5, "accuracy/test": 0.5})
        write_json(
            out / "preimage.json", {"kind": "finetune", "version": 1, "settings": {"loss": {"name": "x"}}, "inputs": {}}
        )


def _scores(one: Evaluated, final: Predictions) -> dict[str, float | None]:
    truth = dict(zip(final.ids, final.truth, strict=True))
    known = np.array([truth[name] for name in one.ids])
    return {"curve/accuracy": accuracy(one.probs, known), "curve/auroc": auroc(one.probs, known)}


def read_curve(path: Path) -> list[Evaluated]:
    """As the program reads curves, but for the digest."""
    return AnswersReader().curve(path, path.read_bytes())


@dataclass(frozen=True)
class Shape:
    """What a made-up sweep holds. Accuracies are exact: the first `share` of the test rows are right."""

    weak: Sequence[str] = ("w14",)
    strong: Sequence[str] = ("s410",)
    losses: Sequence[dict[str, Any]] = LOSSES[:1]
    seeds: Sequence[int] = (0,)
    datasets: Sequence[str] = ("sciq",)
    n_test: int = 100
    share: tuple[float, float, float] = (0.6, 0.7, 0.8)
    """Accuracy of weak, student, ceiling."""
    failed: Collection[str] = ()
    """Labels of stages that failed."""
    missing: Collection[str] = ()
    """Labels of stages that did not run."""
    metric: str = "accuracy"
    curve: Sequence[tuple[float, float, float]] = ()
    """Accuracy of weak, student and ceiling after each evaluation; none: stages have no curve."""


def build(root: Path, shape: Shape) -> Store:
    """A store with the sweep `NAME` of this shape."""
    store = Store(root)
    store.prepare()
    stages: dict[str, Any] = {}
    cells: list[dict[str, Any]] = []
    for dataset in shape.datasets:
        for seed in shape.seeds:
            for weak in shape.weak:
                for strong in shape.strong:
                    for number, loss in enumerate(shape.losses):
                        roles = _stages(store, shape, stages, (dataset, weak, strong, number, seed))
                        cells.append(_cell(shape, roles, loss, dataset, weak, strong, seed))
    record = {"name": NAME, "created": "2026-01-01 12:00:00", "command": ["launch.py", "-m", "seed=0,1"]}
    tracker = {"name": "wandb", "project": "p", "entity": None, "mode": "auto"}
    record["settings"] = {"tracker": tracker, "modules": []}
    write_json(store.sweep(NAME) / "sweep.json", record | {"cells": cells, "stages": stages})
    return store


def _stages(
    store: Store, shape: Shape, stages: dict[str, Any], point: tuple[str, str, str, int, int]
) -> dict[str, str]:
    dataset, weak, strong, number, seed = point
    names = {"weak": ("weak", weak, dataset, seed), "ceiling": ("ceiling", strong, dataset, seed)}
    names["student"] = ("student", weak, strong, dataset, number, seed)
    roles = {role: key_of(*parts) for role, parts in names.items()}
    truth = np.random.default_rng(seed).integers(0, 2, shape.n_test)
    for place, role in enumerate(("weak", "student", "ceiling")):
        key, label = roles[role], " ".join(map(str, names[role]))
        if key in stages:
            continue
        stages[key] = {"label": label, "kind": "finetune", "role": role, "inputs": {}}
        if label in shape.failed:
            write_json(store.work(key) / "failure.json", {"error": "W2SError: the loss became nan"})
        elif label not in shape.missing:
            right = np.arange(shape.n_test) < round(shape.share[place] * shape.n_test)
            put_stage(store, key, label, made_up(truth, right, shuffle=place), curve=_curve(shape, truth, place))
    return roles


def _curve(shape: Shape, truth: np.ndarray, place: int) -> list[Evaluated]:
    """The first half of the test rows, in which as large a share is right as `Shape.curve` says."""
    rows, found = len(truth) // 2, list[Evaluated]()
    for number, shares in enumerate(shape.curve):
        said = made_up(truth[:rows], np.arange(rows) < round(shares[place] * rows))
        found.append(Evaluated(10 * (number + 1), 10 * len(shape.curve), said.ids, said.probs))
    return found


def _cell(
    shape: Shape, roles: dict[str, str], loss: dict[str, Any], dataset: str, weak: str, strong: str, seed: int
) -> dict[str, Any]:
    cell = {
        "dataset": {"name": dataset, "task": dataset},
        "weak": {"name": weak, "params": PARAMS[weak]},
        "strong": {"name": strong, "params": PARAMS[strong]},
        "loss": loss,
        "method": {"name": "naive"},
        "finetune": {"name": "lora", "rank": 8},
        "seed": seed,
        "metric": shape.metric,
    }
    overrides = [f"dataset={dataset}", f"weak={weak}", f"strong={strong}", f"loss={loss['name']}", f"seed={seed}"]
    return {"overrides": overrides, "cell": cell, "roles": roles}
