"""How figures and report look on a grid of 6 losses, 2 supervisors, 4 strong models, 5 tasks and 3 seeds.

    python -m benchmarks.look FOLDER [--unfinished 1] [--browser chromium]

Nothing is trained: predictions are made up, plausibly (a student has a part of its supervisor's noise, which grows as
it trains; on one task no gap is left). FOLDER gets the store, the figures of the report, of papers and of talks, and
pictures of the page, 1,400 and 400 pixels wide, on light and on dark; what the page's console says is printed, and the
exit status is 1 where that is an error.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.browser import Browser, Page
from benchmarks.clock import processor
from tests.results_store import NAME, key_of, put_stage
from w2s_sweep.predictions import Evaluated, Predictions, softmax
from w2s_sweep.results.collect import collect
from w2s_sweep.results.figures import save_figures
from w2s_sweep.results.figures.look import LOOKS
from w2s_sweep.results.report import write_results
from w2s_sweep.store import Store
from w2s_sweep.store.files import write_json

LOSSES: Mapping[str, Mapping[str, Any]] = {
    "xent": {"name": "xent"},
    "confidence": {"name": "confidence", "alpha_max": 0.75},
    "confidence .5": {"name": "confidence", "alpha_max": 0.5},
    "focal": {"name": "focal", "gamma": 2.0},
    "bootstrap": {"name": "bootstrap", "beta": 0.8},
    "product": {"name": "product_confidence_warmup"},
}
NOISE = dict(zip(LOSSES, (0.75, 0.35, 0.5, 0.7, 0.6, 0.95), strict=True))
"""How much of its supervisor's noise a student takes over."""
WEAK = {"pythia-14m": 14_067_712, "pythia-70m": 70_426_624}
STRONG = {
    "pythia-160m": 162_322_944, "pythia-410m": 405_334_016, "pythia-1b": 1_011_781_632, "pythia-2.8b": 2_775_208_960,
}  # fmt: skip
TASKS = {"sciq": 1.0, "boolq": 0.6, "amazon_polarity": 1.4, "tweet_eval_sentiment": 0.8, "wic": 0.0}
"""Task -> how much better large models are than small ones."""
SEEDS = range(3)
ROWS, EVALUATIONS = 500, 10


@dataclass(frozen=True)
class Test:
    """The test rows of one task and seed."""

    ids: np.ndarray
    truth: np.ndarray
    hard: np.ndarray

    @classmethod
    def of(cls, task: str, seed: int) -> "Test":
        random = np.random.default_rng([len(task), seed])
        ids = np.array([f"{i:020x}" for i in range(ROWS)], dtype=object)
        return cls(ids, random.integers(0, 2, ROWS).astype(np.int8), random.normal(0, 1, ROWS))

    def margins(self, params: int, gain: float, name: str) -> np.ndarray:
        """[rows]: by how much a model of that size, trained on the truth, is right."""
        noise = np.random.default_rng(int(key_of(name)[:8], 16)).normal(0, 0.6, ROWS)
        return 0.35 + gain * 0.35 * np.log10(params / 1e7) - 0.6 * self.hard + noise

    def logits(self, margins: np.ndarray) -> np.ndarray:
        """[rows, 2] float32."""
        signs = np.where(self.truth == 1, 1, -1)
        return np.stack([-margins * signs, margins * signs], axis=1).astype(np.float32)

    def predictions(self, margins: np.ndarray) -> Predictions:
        logits = self.logits(margins)
        splits, seen = np.array(["test"] * ROWS, dtype=object), np.full((ROWS, 2), np.nan, dtype=np.float32)
        return Predictions(self.ids, splits, self.truth, logits, softmax(logits), seen)

    def curve(self, strong: np.ndarray, weak: np.ndarray, noise: float) -> list[Evaluated]:
        """Learns first, takes over the supervisor's noise later."""
        found: list[Evaluated] = []
        for i in range(EVALUATIONS):
            learnt, taken = 1 - 0.6 ** (i + 2), noise * (i + 1) / EVALUATIONS
            margins = learnt * mixed(strong, weak, taken) + (1 - learnt) * np.roll(strong - strong.mean(), 7)
            found.append(Evaluated(25 * (i + 1), 25 * EVALUATIONS, self.ids, softmax(self.logits(margins))))
        return found


def mixed(strong: np.ndarray, weak: np.ndarray, noise: float) -> np.ndarray:
    return (1 - noise) * strong + noise * weak


def build(root: Path, unfinished: int = 0) -> Store:
    """The store; the first `unfinished` losses have no finished student."""
    store, stages, cells = Store(root), dict[str, Any](), list[dict[str, Any]]()
    store.prepare()
    for task, seed in product(TASKS, SEEDS):
        test = Test.of(task, seed)
        for weak, strong in product(WEAK, STRONG):
            low = test.margins(WEAK[weak], TASKS[task], f"{task} {seed} {weak}")
            high = test.margins(STRONG[strong], TASKS[task], f"{task} {seed} {strong}")
            ends = {"weak": ((weak,), low, 0.0), "ceiling": ((strong,), high, 0.0)}
            for number, (name, loss) in enumerate(LOSSES.items()):
                student = {"student": ((weak, strong, name), mixed(high, low, NOISE[name]), NOISE[name])}
                roles = {role: key_of(role, *who, task, seed) for role, (who, *_) in (ends | student).items()}
                for role, (who, margins, noise) in (ends | student).items():
                    if (key := roles[role]) in stages:
                        continue
                    stages[key] = {"label": f"{role} {' '.join(who)} {task} {seed}", "kind": "finetune", "role": role}
                    stages[key] |= {"inputs": {}}
                    if role == "student" and number < unfinished:
                        continue
                    curve = test.curve(low if role == "weak" else high, low, noise)
                    put_stage(store, key, stages[key]["label"], test.predictions(margins), curve=curve)
                cells.append(
                    {"overrides": [f"seed={seed}"], "cell": _cell(task, weak, strong, loss, seed), "roles": roles}
                )
    record = {"name": NAME, "created": "2026-01-01 12:00:00", "command": ["launch.py", "-m", "seed=0,1,2"]}
    record |= {"settings": {"tracker": {"name": "none"}, "modules": []}, "cells": cells, "stages": stages}
    write_json(store.sweep(NAME) / "sweep.json", record)
    return store


def _cell(task: str, weak: str, strong: str, loss: Mapping[str, Any], seed: int) -> dict[str, Any]:
    models = {side: {"name": name, "params": sizes[name]} for side, name, sizes in
              (("weak", weak, WEAK), ("strong", strong, STRONG))}  # fmt: skip
    others = {"method": {"name": "naive"}, "finetune": {"name": "lora", "rank": 8}, "metric": "accuracy"}
    return {"dataset": {"name": task, "task": task}, **models, "loss": dict(loss), **others, "seed": seed}


def timed(name: str, work: Callable[[], Any]) -> Any:
    """What some work returns; says how long it took."""
    before = processor()
    found = work()
    print(f"{name}: processor {processor() - before:.1f} s", flush=True)
    return found


def picture(browser: str, html: Path, out: Path) -> int:
    """How many errors the page has."""
    found: list[str] = []
    with Browser(browser) as opened:
        for width, scheme in product((1400, 400), ("light", "dark")):
            page = Page(opened, html, width, scheme)
            page.save(out / f"page-{width}-{scheme}.png")
            found += [f"{width} {scheme}: {text}" for text in page.errors()]
    print("\n".join(found) or "no error in the console, no failed request, nothing wider than the page")
    return len(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--unfinished", type=int, default=0, help="losses without a finished student")
    parser.add_argument("--browser", default="chromium")
    words = parser.parse_args()
    store = Store(words.folder / "store")
    if not store.sweep(NAME).is_dir():
        store = build(store.root, words.unfinished)
    folder = store.sweep(NAME)
    results = timed("collect", lambda: collect(store, NAME))
    page = timed("report", lambda: write_results(store, results, folder))
    for (style, width), look in LOOKS.items():
        where = words.folder / f"{style}-{width}"
        timed(where.name, partial(save_figures, results, where, look))
    return 1 if picture(words.browser, page.html, words.folder) else 0


if __name__ == "__main__":
    sys.exit(main())
