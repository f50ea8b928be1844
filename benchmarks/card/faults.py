"""What goes wrong on a GPU, brought about: a pass that does not fit, and a context that an assertion on the device
breaks."""

from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.card.made_up import random_backbone, tiny_configs
from benchmarks.card.parity import cells
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.schema import schema
from w2s_sweep.errors import DeviceLost
from w2s_sweep.kinds.training import Finetune
from w2s_sweep.losses import Loss
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.runner.context import RunSettings
from w2s_sweep.runner.pack import Pack, run_pack
from w2s_sweep.sources import identify
from w2s_sweep.stages.finetune import TextLearner
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json
from w2s_sweep.training.loop import Hooks, Recipe, train

ROOM = 1.5e9
"""Bytes that the drill leaves to torch: a GPU of its own size would take minutes to fill."""


@schema
class Breaks(Loss, choice=False):
    """Reads what is not there: on a GPU an assertion on the device, after which its context is of no use."""

    name: Literal["breaks"] = "breaks"

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor, progress: float) -> torch.Tensor:
        index = torch.full((len(logits), 1), 1_000_000, device=logits.device)
        return logits.gather(1, index).sum(-1)


def _losses(budget: int, device: torch.device) -> tuple[list[float], int]:
    """Of a few steps on rows of 1,000 tokens, and the tokens a pass that they ended with."""
    backbone = random_backbone(tiny_configs()["llama-tied"], device, torch.float32)
    draw = torch.Generator().manual_seed(0)
    texts = [torch.randint(1, 257, (1000,), generator=draw).tolist() for _ in range(128)]
    learner = TextLearner(Classifier(backbone), texts, "fp32", budget)
    learner.mode(training=True)
    found: list[float] = []
    recipe = Recipe(batch_size=128, epochs=2, lr=1e-3, seed=0)
    labels = torch.eye(2, device=device)[[i % 2 for i in range(128)]]
    hooks = Hooks(report=lambda step, steps, loss, lr: found.append(loss))
    train(learner, range(128), labels, CrossEntropy(), recipe, hooks)
    return found, learner.token_budget


def out_of_memory(folder: Path, device: str) -> dict[str, Any]:
    """Passes that do not fit are halved, and the losses are those of passes that did from the start."""
    where = torch.device(device)
    if where.type != "cuda":
        return {"skipped": "needs a GPU; tests/training/test_memory.py makes the error up"}
    total = torch.cuda.get_device_properties(where).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, ROOM / total), where)
    try:
        found, ended = _losses(2**17, where)
        expected, _ = _losses(ended, where)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, where)
    apart = max(abs(a - b) for a, b in zip(found, expected, strict=True))
    return {"good": ended < 2**17 and apart < 1e-3, "tokens a pass": [2**17, ended], "largest difference": apart}


def broken_context(folder: Path, device: str) -> dict[str, Any]:
    """A stage whose loss breaks the context fails, and its process says that it can do no more. On a CPU, where the
    same is an error of that stage alone, the next stage is computed."""
    cell = next(cells(folder, few=True))
    graph = merge([cell], identify)
    broken = next(s for s in graph.stages.values() if isinstance(s.settings, Finetune))
    object.__setattr__(broken.settings, "loss", Breaks())
    store = Store(folder / "store")
    store.prepare()
    lost = False
    try:
        outcomes = run_pack(Pack(store, list(graph.stages.values()), RunSettings(threads=1)), lambda: False)
    except DeviceLost:
        lost, outcomes = True, {}
    failure = (read_json(store.work(broken.key) / "failure.json") or {}).get("error", "")
    others = sum(outcome == "done" for outcome in outcomes.values())
    good = bool(failure) and (lost if device == "cuda" else others > 1)
    return {"good": good, "ends the process": lost, "other stages done": others, "error": failure.splitlines()[:1]}
