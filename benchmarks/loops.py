"""Loops that train or read the same rows: this project's and others. Each says when its steps ended."""

from __future__ import annotations

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


Ends = list[float]
"""When the rows that are not measured were done, and then the others, by `now`: at least two times."""


def ours(work: Work, budget: int, *, packs: bool, lora: bool = False) -> Ends:
    """This project's loop."""
    learner = our_learner(work, budget, packs=packs, lora=lora)
    learner.mode(training=True)
    times: Ends = []
    recipe = Recipe(batch_size=BATCH, epochs=1, lr=1e-5, seed=0, lr_schedule="constant")
    hooks = Hooks(report=lambda *_: times.append(now()))
    labels = torch.eye(2)[torch.tensor(work.labels)]
    train(learner, range(len(work.tokens)), labels, CrossEntropy(), recipe, hooks)
    return times


def our_learner(work: Work, budget: int, *, packs: bool, lora: bool = False) -> TextLearner:
    model = Classifier(load_backbone(work.model, keep_layers=work.blocks))
    if lora:
        add_lora(model, rank=RANK, alpha=ALPHA, targets=[ALL_LINEAR], seed=0)
    learner = TextLearner(model, list(work.tokens), "fp32", budget)
    learner.collator.packs = packs
    return learner


def time_reading(work: Work, read: Callable[[range], Any]) -> Ends:
    """`read` goes through the rows that are not measured, and then through the others."""
    ends: Ends = []
    for rows in (range(BATCH), range(BATCH, len(work.tokens))):
        read(rows)
        ends.append(now())
    return ends


def our_forward(work: Work, budget: int, *, packs: bool) -> Ends:
    """This project's predictions."""
    learner = our_learner(work, budget, packs=packs)
    learner.mode(training=False)
    return time_reading(work, partial(predict, learner))


def our_features(work: Work, budget: int) -> Ends:
    """This project's vectors of texts, after all blocks as in the other loops: by default it reads fewer."""
    backbone = load_backbone(work.model, keep_layers=work.blocks)

    def read(rows: range) -> None:
        texts = [work.tokens[row] for row in rows]
        frozen_features(backbone, texts, layer=work.blocks, precision="fp32", token_budget=budget)

    return time_reading(work, read)


def other_features(work: Work, size: int) -> Ends:
    """A plain loop over batches of `size` texts, in their order, padded on the right."""
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
        self.ends: Ends = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ends.append(now())


def trainer(work: Work, size: int, *, lora: bool = False) -> Ends:
    """transformers.Trainer with forward passes of `size` texts; `lora`: on a model of peft."""
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
    return times.ends


def one_by_one(work: Work, *, lora: bool = False) -> Ends:
    """A plain loop whose forward passes have one text, as in the code released with the paper."""
    model = other_model(work, lora=lora).train()
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-5)
    ends: Ends = []
    for start in range(0, len(work.tokens), BATCH):
        for row in range(start, start + BATCH):
            logits = model(input_ids=torch.tensor([work.tokens[row]])).logits
            (nn.functional.cross_entropy(logits, torch.tensor([work.labels[row]])) / BATCH).backward()
        optimizer.step()
        optimizer.zero_grad()
        ends.append(now())
    return ends


LOOPS: dict[str, dict[str, Callable[[Work], Ends]]] = {
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
