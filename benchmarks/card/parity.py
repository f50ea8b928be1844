"""Every kind of stage on the device and on the CPU, on tied and untied models: how far their numbers are apart."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file

from benchmarks.card.made_up import TARGETS, random_backbone, tiny_configs, write_model
from w2s_sweep.cells.cell import Cell
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Full, Lora, Probe
from w2s_sweep.config.model import Model
from w2s_sweep.config.source import LocalSource
from w2s_sweep.config.supervisor import Supervisor
from w2s_sweep.kinds import Kind
from w2s_sweep.losses.confidence import Confidence
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.methods.ccs import Ccs
from w2s_sweep.methods.critic import Critic
from w2s_sweep.methods.generative import Generative
from w2s_sweep.methods.icm import Icm, IcmFeatures
from w2s_sweep.methods.mean_difference import MeanDifference
from w2s_sweep.methods.naive import Naive
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.methods.reasoning import Reasoning
from w2s_sweep.models.device import autocast
from w2s_sweep.plan.graph import Graph
from w2s_sweep.plan.stage import Stage
from w2s_sweep.predictions import FILE, TEXTS, read_predictions
from w2s_sweep.runner import process_cache
from w2s_sweep.runner.context import RunSettings
from w2s_sweep.runner.pack import Pack, run_pack
from w2s_sweep.sources import identify
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_text
from w2s_sweep.training.answers import read_written

ROWS = 48
CLOSE = 0.02
"""Largest difference of a probability that is no finding: TF32 has 10 bits, and small models train a few steps."""
SEARCHED = ("annotate", "elicit", "ccs", "sample", "critique", "prefer")
"""Kinds that decide by thresholds on the way: rounding may turn a label over, with all that follows from it."""
OTHER_TEXTS = 0.5
"""Largest share of texts written in another way that is no finding: one token that rounding turns over is enough."""


def rows_of(folder: Path) -> dict[str, Dataset]:
    """A task of labels, another one to be tested on, one of answers, and one whose answer is all that is written."""
    said = [f'{{"sentence": "a {"good" if i % 2 else "bad"} film {i}", "label": {i % 2}}}\n' for i in range(ROWS)]
    asked = [f'{{"question": "{i} and {i % 7} are", "answer": "#### {i + i % 7}"}}\n' for i in range(ROWS // 2)]
    moved = [f'{{"ctx": "{i} {i % 7}", "target": " {i + i % 7}"}}\n' for i in range(ROWS // 2)]
    found: dict[str, Dataset] = {}
    for name, task, lines in (
        ("films", "sst2", said),
        ("more", "sst2", said[8:]),
        ("answers", "worked_answer", asked),
        ("moves", "chess_moves", moved),
    ):
        path = folder / f"{name}.jsonl"
        write_text(path, "".join(lines))
        found[name] = Dataset(name=name, task=task, source=LocalSource(path=str(path)), max_tokens=32, balance="none")
    return found


def models_of(folder: Path) -> dict[str, Model]:
    """The tiny models, by name."""
    return {
        name: Model(
            name=name,
            source=LocalSource(path=str(write_model(folder / name, config))),
            params=300_000,
            layers=2,
            hidden=128,
            lora_targets=TARGETS[config.model_type],
            label_words=("no", "yes"),  # whose first bytes differ
        )
        for name, config in tiny_configs().items()
    }


def cells(folder: Path, *, few: bool) -> Iterator[Cell]:
    """What together has every kind of stage on every model; `few`: on two of the models, LoRA alone."""
    rows, models = rows_of(folder), models_of(folder)
    how: dict[str, Any] = {"lr": 1e-3, "epochs": 1, "batch_size": 8, "precision": "fp32"}
    pairs = (
        [("llama-tied", "neox-untied")] if few else list(zip(models, [*list(models)[1:], "llama-tied"], strict=True))
    )
    for weak, strong in pairs:
        plain = Cell(
            dataset=rows["films"],
            loss=Confidence(),
            method=Naive(),
            finetune=Full(**how),
            weak=models[weak],
            strong=models[strong],
        )
        lora, probe = Lora(**how), Probe(epochs=2, precision="fp32")
        if not few:
            wrote = Reasoning(samples=4, least=0.1, preference=True)
            yield replace(plain, finetune=lora, dataset=rows["moves"], loss=CrossEntropy(), method=wrote)
            yield plain
            yield replace(plain, finetune=probe, method=Prompting(shots=2))
        yield replace(plain, finetune=lora, tests=(rows["more"],))
        yield replace(plain, finetune=probe, method=IcmFeatures())
        for one, other in ((weak, strong), (strong, weak)) if few else ((weak, strong),):
            latent = replace(plain, finetune=probe, weak=models[one], strong=models[other])
            yield replace(latent, method=Ccs(tries=2, epochs=20))
            yield replace(latent, method=MeanDifference(), supervisor=Supervisor(temperature=2.0))
            drawn = replace(plain, finetune=lora, weak=models[one], strong=models[other], loss=CrossEntropy())
            yield replace(drawn, dataset=rows["moves"], method=Reasoning(samples=2, least=0.1, own=not few))
        yield replace(plain, finetune=probe, method=Icm(rows=8, steps=8, folds=2))
        yield replace(plain, finetune=lora, method=Generative())
        yield replace(plain, finetune=lora, method=Critic(max_new_tokens=4))
        yield replace(plain, finetune=lora, dataset=rows["answers"], loss=CrossEntropy())


def compute(graph: Graph, store: Store, tokens: int | None) -> dict[str, str]:
    """Key -> what became of it."""
    store.prepare()
    run = RunSettings(threads=1, micro_batch_tokens=tokens)
    return dict(run_pack(Pack(store, list(graph.stages.values()), run), lambda: False))


def numbers(folder: Path) -> Iterator[np.ndarray]:
    """All that a stage predicts, as numbers."""
    if (folder / FILE).is_file():
        yield read_predictions(folder / FILE).probs
    for name in ("features", "answers", "contrast"):
        if (folder / f"{name}.safetensors").is_file():
            yield from (value for key, value in load_file(folder / f"{name}.safetensors").items() if key != "rows")


def apart(one: Path, other: Path) -> float:
    """The largest difference of two results of a stage; of features and answers by the largest of their numbers."""
    pairs = zip(numbers(one), numbers(other), strict=True)
    return max((float(np.abs(a - b).max() / max(1.0, np.abs(b).max())) for a, b in pairs if a.size), default=0.0)


def written_apart(one: Path, other: Path) -> float | None:
    """The share of the texts of a stage that two results wrote differently; None of a stage that writes none."""
    if not (one / TEXTS).is_file():
        return None
    here, there = read_written(one), read_written(other)
    names = here.keys() | there.keys()
    return sum(here.get(name) != there.get(name) for name in names) / len(names)


def searched(graph: Graph, stage: Stage[Kind]) -> bool:
    """Whether labels that were searched for decide what a stage computes."""
    return stage.kind in SEARCHED or follows_search(graph, stage)


def follows_search(graph: Graph, stage: Stage[Kind]) -> bool:
    return any(searched(graph, graph.stages[key]) for key in stage.inputs.values())


def run(folder: Path, device: str, *, tiny: bool) -> dict[str, Any]:
    """The largest difference by kind of stage. On a CPU the two are the usual passes and passes of 100 tokens."""
    graph = merge(list(cells(folder, few=tiny)), identify)
    there, here = Store(folder / "device"), Store(folder / "cpu")
    outcomes = compute(graph, there, None if device == "cuda" else 100)
    failed = _failures(there, graph, outcomes)
    with on_cpu():
        failed += _failures(here, graph, compute(graph, here, None))
    found: dict[str, float] = {}
    far: list[str] = []
    for key, stage in graph.stages.items():
        if not (there.is_done(key) and here.is_done(key)):
            continue
        by = apart(there.path(key), here.path(key))
        name = f"{stage.kind}, searched" if searched(graph, stage) else stage.kind
        found[name] = max(found.get(name, 0.0), by)
        if by > CLOSE and not searched(graph, stage):
            far.append(f"{stage.label}: {by:.3g}")
        others = written_apart(there.path(key), here.path(key))
        if others is not None:
            found[f"{name}, other texts"] = max(found.get(f"{name}, other texts", 0.0), others)
        if others is not None and others > OTHER_TEXTS and not follows_search(graph, stage):
            far.append(f"{stage.label}: {others:.0%} other texts")
    good = not failed and not far
    return {"good": good, "stages": len(graph.stages), "largest difference": found, "far": far, "failed": failed} | (
        {} if tiny else {"packed against padded, bf16": dict(packed_in_half(device))}
    )


@contextmanager
def on_cpu() -> Iterator[None]:
    """No GPU is visible inside: what asks torch for one is told that there is none."""
    process_cache.forget()
    available, torch.cuda.is_available = torch.cuda.is_available, lambda: False
    given = os.environ.pop("W2S_GPUS", None)
    try:
        yield
    finally:
        torch.cuda.is_available = available
        os.environ |= {} if given is None else {"W2S_GPUS": given}
        process_cache.forget()


def _failures(store: Store, graph: Graph, outcomes: dict[str, str]) -> list[str]:
    bad: Iterable[str] = (key for key, outcome in outcomes.items() if outcome not in ("done", "blocked"))
    return [
        f"{graph.stages[key].label}: {(read_json(store.work(key) / 'failure.json') or {}).get('text')}" for key in bad
    ]


def packed_in_half(device: str) -> Iterator[tuple[str, float]]:
    """Largest difference of states in bf16 between packed and padded batches, by the largest state."""
    where = torch.device(device)
    for name, config in tiny_configs().items():
        backbone = random_backbone(config, where, torch.float32)
        draw = np.random.default_rng(0)
        texts = [draw.integers(1, 257, size=n).tolist() for n in (7, 40, 3, 90)]
        states: list[torch.Tensor] = []
        for packs in (True, False):
            collator = backbone.collator()
            collator.packs = packs and backbone.packs
            batch = collator.batch(texts)
            with torch.no_grad(), autocast(where, "bf16"):
                found = backbone.states(batch.ids, batch.mask, batch.texts)
            states.append(found.reshape(-1, found.shape[-1])[batch.mask.flatten().bool()].float())
        yield name, float((states[0] - states[1]).abs().max() / states[1].abs().max())
