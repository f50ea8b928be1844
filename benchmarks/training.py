"""Training and forward speed beside other loops: every loop on the same rows, in turns, in one process.

    python -m benchmarks.training --data FOLDER [--tasks sst2,boolq] [--blocks 8] [--repeats 3] [--out FILE.json]

FOLDER: copies of the hub's datasets, as for `make science`. The model is the first blocks of SmolLM2-135M in fp32,
batches of 32 texts; all weights are trained, or adapters on all linear modules (lora), or texts are only read (forward,
features). With one thread (OMP_NUM_THREADS=1) seconds are those of the CPU, else what a machine does beside this slows
the loops: read the ratios, which are medians over the repeats. MFU: FLOPs of real tokens (matrices and causal
attention; those of adapters are left out) by those of a matrix product that is measured between the loops.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from w2s_sweep.config.finetune import ALL_LINEAR
from w2s_sweep.data.examples import build_examples
from w2s_sweep.kinds.data import Data
from w2s_sweep.launch.examples import composed_cell
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.features import frozen_features
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.lora import add_lora
from w2s_sweep.plan.builder import Builder
from w2s_sweep.sources import fetch, identify
from w2s_sweep.stages.finetune import TextLearner
from w2s_sweep.training.loop import Hooks, Recipe, predict, train

BATCH = 32
RANK, ALPHA = 8, 16
"""Of adapters."""
STEPS = {"sst2": 2, "boolq": 1}
"""Optimizer steps of a measurement by task."""


@dataclass(frozen=True)
class Work:
    """What every loop has to do: `steps` steps of `BATCH` texts, after one that is not measured."""

    task: str
    model: Path
    blocks: int
    tokens: Sequence[list[int]]
    labels: Sequence[int]

    @property
    def measured(self) -> int:
        """Texts that are measured: all but the first batch."""
        return len(self.tokens) - BATCH


def now() -> float:
    """Seconds of this process alone where it has one thread, which other work on the machine hardly changes; else of
    the wall."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def read_work(task: str, data: Path, blocks: int) -> Work:
    """The first rows of a task as the model reads them."""
    cell, _ = composed_cell([f"dataset={task}", f"data_root={data}", "model@strong=smollm2_135m", "finetune=full"])
    build = Builder(cell, identify)
    settings = build.stages[build.data()].settings
    assert isinstance(settings, Data)
    table = build_examples(settings, fetch(cell.dataset.source, settings.source, "dataset"))
    model = fetch(cell.strong.source, identify(cell.strong.source, "model"), "model")
    count = BATCH * (1 + STEPS.get(task, 1))
    backbone = load_backbone(model, keep_layers=1)
    tokens = backbone.tokens(table["text"].to_pylist()[:count], cell.dataset.max_tokens)
    return Work(task, backbone.folder, blocks, tokens, table["label"].to_pylist()[:count])


def flops(work: Work, backbone: Backbone, kind: str, *, packs: bool) -> float:
    """Of a real text in the mean, with 2 a multiply-add; a backward pass is twice a forward one, or as much of matrices
    that are frozen. `packs`: the last feed-forward layer is computed for a token a text."""
    lengths = [len(ids) for ids in work.tokens[BATCH:]]
    attention = 2 * backbone.layers * backbone.hidden * sum(n * n for n in lengths)
    products = 2 * _weights(backbone.module) * sum(lengths)
    if packs and backbone.skips:
        products -= 2 * _weights(backbone.blocks[-1].mlp) * (sum(lengths) - len(lengths))
    forward, backward = products + attention, 0
    if kind in TRAINED:
        backward = (1 if kind == "lora" else 2) * products + 2 * attention
    return (forward + backward) / len(lengths)


def _weights(module: Any) -> int:
    """Of linear layers."""
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Linear))


def product_rate(size: int = 1024, seconds: float = 0.5) -> float:
    """FLOP/s of the fastest of many square matrix products."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    end, best = now() + seconds, float("inf")
    while now() < end:
        began = now()
        a @ b
        best = min(best, now() - began)
    return 2 * size**3 / best


def ours(work: Work, budget: int, *, packs: bool, lora: bool = False) -> float:
    """Seconds of this project's loop."""
    learner = our_learner(work, budget, packs=packs, lora=lora)
    learner.mode(training=True)
    times: list[float] = []
    recipe = Recipe(batch_size=BATCH, epochs=1, lr=1e-5, seed=0, lr_schedule="constant")
    hooks = Hooks(report=lambda *_: times.append(now()))
    labels = torch.eye(2)[torch.tensor(work.labels)]
    train(learner, range(len(work.tokens)), labels, CrossEntropy(), recipe, hooks)
    return times[-1] - times[0]


def our_learner(work: Work, budget: int, *, packs: bool, lora: bool = False) -> TextLearner:
    model = Classifier(load_backbone(work.model, keep_layers=work.blocks))
    if lora:
        add_lora(model, rank=RANK, alpha=ALPHA, targets=[ALL_LINEAR], seed=0)
    learner = TextLearner(model, list(work.tokens), "fp32", budget)
    learner.collator.packs = packs
    return learner


def time_reading(work: Work, read: Callable[[range], Any]) -> float:
    """Seconds in which `read` goes through the rows that are measured, after those that are not."""
    read(range(BATCH))
    began = now()
    read(range(BATCH, len(work.tokens)))
    return now() - began


def our_forward(work: Work, budget: int, *, packs: bool) -> float:
    """Seconds of this project's predictions."""
    learner = our_learner(work, budget, packs=packs)
    learner.mode(training=False)
    return time_reading(work, partial(predict, learner))


def our_features(work: Work, budget: int) -> float:
    """Seconds of this project's vectors of texts, after all blocks as in the other loops: by default it reads fewer."""
    backbone = load_backbone(work.model, keep_layers=work.blocks)

    def read(rows: range) -> None:
        texts = [work.tokens[row] for row in rows]
        frozen_features(backbone, texts, layer=work.blocks, precision="fp32", token_budget=budget)

    return time_reading(work, read)


def other_features(work: Work, size: int) -> float:
    """Seconds of a plain loop over batches of `size` texts, in their order, padded on the right."""
    model = AutoModel.from_pretrained(work.model, num_hidden_layers=work.blocks, dtype=torch.float32).eval()

    def read(rows: range) -> None:
        for start in range(rows.start, rows.stop, size):
            batch = [torch.tensor(text) for text in work.tokens[start : min(start + size, rows.stop)]]
            mask = nn.utils.rnn.pad_sequence([torch.ones_like(text) for text in batch], batch_first=True)
            ids = nn.utils.rnn.pad_sequence(batch, batch_first=True)
            hidden = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            hidden[torch.arange(len(batch)), mask.sum(1) - 1].numpy()

    with torch.no_grad():
        return time_reading(work, read)


def other_model(work: Work, *, lora: bool = False) -> Any:
    model = AutoModelForSequenceClassification.from_pretrained(
        work.model, num_hidden_layers=work.blocks, num_labels=2, dtype=torch.float32, pad_token_id=0
    )
    if not lora:
        return model
    return get_peft_model(
        model, LoraConfig(task_type="SEQ_CLS", r=RANK, lora_alpha=ALPHA, target_modules=ALL_LINEAR, lora_dropout=0.0)
    )


class StepTimes(TrainerCallback):
    def __init__(self):
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ends.append(now())


def trainer(work: Work, size: int, *, lora: bool = False) -> float:
    """Seconds of transformers.Trainer with forward passes of `size` texts; `lora`: on a model of peft."""
    times = StepTimes()
    tokenizer = transformers.AutoTokenizer.from_pretrained(work.model)
    rows = [{"input_ids": ids, "labels": label} for ids, label in zip(work.tokens, work.labels, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=BATCH // size,
            num_train_epochs=1,
            learning_rate=1e-5,
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        collate = DataCollatorWithPadding(tokenizer)
        Trainer(other_model(work, lora=lora), args, collate, rows, callbacks=[times]).train()  # pyright: ignore
    return times.ends[-1] - times.ends[0]


def one_by_one(work: Work, *, lora: bool = False) -> float:
    """Seconds of a plain loop whose forward passes have one text, as in the code released with the paper."""
    model = other_model(work, lora=lora).train()
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-5)
    ends: list[float] = []
    for start in range(0, len(work.tokens), BATCH):
        for row in range(start, start + BATCH):
            logits = model(input_ids=torch.tensor([work.tokens[row]])).logits
            (nn.functional.cross_entropy(logits, torch.tensor([work.labels[row]])) / BATCH).backward()
        optimizer.step()
        optimizer.zero_grad()
        ends.append(now())
    return ends[-1] - ends[0]


LOOPS: dict[str, dict[str, Callable[[Work], float]]] = {
    "full": {
        "packed 2048": partial(ours, budget=2048, packs=True),
        "packed 8192": partial(ours, budget=8192, packs=True),
        "padded 2048": partial(ours, budget=2048, packs=False),
        "padded 8192": partial(ours, budget=8192, packs=False),
        "Trainer 1x32": partial(trainer, size=1),
        "Trainer 32x1": partial(trainer, size=BATCH),
        "loop of 1": one_by_one,
    },
    "lora": {
        "packed 2048": partial(ours, budget=2048, packs=True, lora=True),
        "Trainer 1x32": partial(trainer, size=1, lora=True),
        "Trainer 32x1": partial(trainer, size=BATCH, lora=True),
        "loop of 1": partial(one_by_one, lora=True),
    },
    "forward": {
        "packed 2048": partial(our_forward, budget=2048, packs=True),
        "padded 2048": partial(our_forward, budget=2048, packs=False),
        "padded 8192": partial(our_forward, budget=8192, packs=False),
    },
    "features": {
        "packed 2048": partial(our_features, budget=2048),
        "loop of 32": partial(other_features, size=BATCH),
        "loop of 1": partial(other_features, size=1),
    },
}
"""By kind of work; each kind's `BASE` is what its others are compared with."""
BASE = "packed 2048"
TRAINED = ("full", "lora")


def measure(work: Work, repeats: int, kinds: Sequence[str], names: Sequence[str]) -> dict[str, list[dict[str, float]]]:
    """Loop ("kind, name") -> its repeats: seconds, and the rate of matrix products just before."""
    loops = {f"{kind}, {name}": LOOPS[kind][name] for kind in kinds for name in LOOPS[kind] if name in names}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in loops}
    for repeat in range(repeats):
        for name, loop in loops.items():
            peak = product_rate()
            found[name].append({"seconds": loop(work), "peak": peak})
            print(f"# {work.task} {repeat + 1}/{repeats} {name}: {found[name][-1]['seconds']:.1f} s", flush=True)
    return found


def summarise(work: Work, found: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Loop -> medians: examples/s, real tokens/s, MFU, and its kind's packed loop's speed by its own in each round."""
    backbone = load_backbone(work.model, keep_layers=work.blocks)
    tokens = sum(map(len, work.tokens[BATCH:])) / work.measured
    out: dict[str, dict[str, float]] = {}
    for name, repeats in found.items():
        kind = name.partition(", ")[0]
        base = found[f"{kind}, {BASE}"]
        rates = [work.measured / one["seconds"] for one in repeats]
        needed = flops(work, backbone, kind, packs=name.partition(", ")[2].startswith("packed"))
        out[name] = {
            "examples/s": statistics.median(rates),
            "tokens/s": statistics.median(rates) * tokens,
            "MFU": statistics.median(r * needed / one["peak"] for r, one in zip(rates, repeats, strict=True)),
            "packed is faster by": statistics.median(
                one["seconds"] / other["seconds"] for one, other in zip(repeats, base, strict=True)
            ),
        }
    return out


def print_table(work: Work, summary: dict[str, dict[str, float]]) -> None:
    lengths = [len(ids) for ids in work.tokens[BATCH:]]
    print(f"\n{work.task}: {work.measured} texts of {sum(lengths) / len(lengths):.0f} tokens, {work.blocks} blocks")
    print(f"{'loop':<22}{'examples/s':>11}{'tokens/s':>10}{'MFU':>6}{'packed is faster by':>21}")
    for name, one in summary.items():
        speed, tokens, mfu, ratio = one.values()
        print(f"{name:<22}{speed:11.2f}{tokens:10.0f}{mfu:6.0%}{ratio:20.2f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tasks", default="sst2,boolq")
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(LOOPS), help="of: %(default)s")
    every = dict.fromkeys(name for loops in LOOPS.values() for name in loops)
    parser.add_argument("--loops", default=",".join(every), help=f"of: %(default)s; always {BASE}")
    parser.add_argument("--out", type=Path, default=Path("benchmark.json"))
    args = parser.parse_args()
    kinds, names = args.kinds.split(","), args.loops.split(",")
    if strange := [*({*kinds} - {*LOOPS}), *({*names} - {*every})]:
        parser.error(f"{', '.join(sorted(strange))}: no such kind or loop; {parser.prog} --help lists them")
    transformers.logging.set_verbosity_error()
    results: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "blocks": args.blocks,
    }
    for task in args.tasks.split(","):
        work = read_work(task, args.data, args.blocks)
        found = measure(work, args.repeats, kinds, [BASE, *names])
        summary = summarise(work, found)
        results[task] = {"summary": summary, "repeats": found}
        print_table(work, summary)
        args.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
