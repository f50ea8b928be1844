"""Memory and speed of a training of a published shape with random weights, and of transformers.Trainer beside it."""

import copy
import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    DataCollatorWithFlattening,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from benchmarks.card.made_up import Scale, byte_tokenizer, random_backbone, shape_of
from w2s_sweep.kinds.memory import CONTEXT, HEADROOM, Fit, fit, training
from w2s_sweep.kinds.shape import Shape
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.models.checkpointing import checkpoint_blocks
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.device import frozen_dtype, memory_bytes, name_of, products, token_budget
from w2s_sweep.models.lora import add_lora
from w2s_sweep.models.peaks import peak_of
from w2s_sweep.models.throughput import Throughput
from w2s_sweep.runner.throughput import flops
from w2s_sweep.stages.finetune import TextLearner
from w2s_sweep.training.loop import Hooks, Recipe, train

STEPS = 3
"""Optimizer steps that are measured, after one that is not."""


def wait(device: torch.device) -> None:
    """Until the device has computed everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def product_rate(device: torch.device, size: int, repeats: int = 20) -> dict[str, float]:
    """FLOP/s of square matrix products by type: the median of `repeats`."""
    found: dict[str, float] = {}
    torch.backends.cuda.matmul.allow_tf32 = True
    # Some CPUs emulate products of bf16: minutes for a number that nobody reads.
    for dtype in (torch.bfloat16, torch.float32) if device.type == "cuda" else (torch.float32,):
        a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        times: list[float] = []
        for _ in range(repeats + 3):
            wait(device)
            began = time.perf_counter()
            a @ b
            wait(device)
            times.append(time.perf_counter() - began)
        found[str(dtype).removeprefix("torch.")] = 2 * size**3 / statistics.median(times[3:])
    return found


def free(device: torch.device) -> None:
    """Let go of what the last loop left."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_gb(device: torch.device) -> float | None:
    """The most that was held since `free`; None on the CPU."""
    return torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None


class Measured:
    """Times at the ends of steps, and the most memory held."""

    def __init__(self, device: torch.device):
        self.device, self.ends = device, list[float]()
        free(device)

    def step(self, *_: object) -> None:
        wait(self.device)
        self.ends.append(time.perf_counter())

    def result(self, scale: Scale, shape: Shape, rates: dict[str, float], *, skips: bool = False) -> dict[str, Any]:
        """Of all steps but the first, whose kernels are still being chosen; `skips`: as in `flops`."""
        read = Throughput(seconds=(self.ends[-1] - self.ends[0]) * (1 + STEPS) / STEPS)
        read.add(map(len, scale.texts(1 + STEPS)))  # every loop has an order of its own: as if all steps were alike
        way = "lora" if scale.way == "lora" else "full"
        rate = flops(shape, read, way, causal=True, skips=skips) / read.seconds
        kind = products(self.device, "bf16")
        published = peak_of(name_of(self.device), kind) if self.device.type == "cuda" else None
        own = rates["bfloat16" if kind == "bf16" and "bfloat16" in rates else "float32"]
        return {
            "tokens/s": read.tokens / read.seconds,
            "MFU of the measured product": rate / own,
            "MFU": None if published is None else rate / published,
            "peak GB": peak_gb(self.device),
        }


def ours(scale: Scale, device: torch.device, rates: dict[str, float], *, checkpointing: bool) -> dict[str, Any]:
    """This project's loop: packed, with as many tokens a pass as are planned; what it holds beside what was planned."""
    measured = Measured(device)
    dtype = frozen_dtype(device, "bf16") if scale.way == "lora" else torch.float32
    backbone = random_backbone(scale.config, device, dtype)
    shape = shape_of(scale.config, backbone.module)
    how = _planned(scale, shape, device, checkpointing=checkpointing)
    if how is None:
        return {"skipped": "by the plan it does not fit on this device"}
    model = Classifier(backbone)
    if scale.adapters is not None:
        rank, targets = scale.adapters
        add_lora(model, rank=rank, alpha=16.0, targets=list(targets), seed=0)
    if checkpointing:
        checkpoint_blocks(backbone.blocks)
    texts = scale.texts(1 + STEPS)
    learner = TextLearner(model, texts, "bf16", how.tokens)
    learner.mode(training=True)
    recipe = Recipe(batch_size=scale.rows, epochs=1, lr=1e-5, seed=0, lr_schedule="constant")
    labels = torch.eye(2, device=device)[[i % 2 for i in range(len(texts))]]
    train(learner, range(len(texts)), labels, CrossEntropy(), recipe, Hooks(report=measured.step))
    found = measured.result(scale, shape, rates, skips=backbone.skips)
    planned = {"tokens a pass": how.tokens, "predicted GB": (how.device - CONTEXT) / 1e9} if how.device else {}
    by = {"predicted by peak": planned["predicted GB"] / found["peak GB"]} if planned and found["peak GB"] else {}
    return found | planned | by | learner.collator.summary()


def _planned(scale: Scale, shape: Shape, device: torch.device, *, checkpointing: bool) -> Fit | None:
    """As `runner.budget` would plan it, but for checkpointing, which is wanted or not."""
    need = training(shape, "bf16", scale.longest, adapters=scale.adapters, stopping=False, last=True)
    there = memory_bytes(device)
    if there is None:
        return Fit(checkpointing, token_budget(device, None), 0.0)
    tight = need.token_checkpointed if checkpointing and need.token_checkpointed else need.token
    how = fit(need, there)
    if how is None or how.checkpointing == checkpointing:
        return how
    room = int((there * HEADROOM - CONTEXT - need.fixed) / tight)
    tokens = min(token_budget(device, None), room)
    return Fit(checkpointing, tokens, need.device(tokens, checkpointing)) if tokens >= scale.longest else None


class Steps(TrainerCallback):
    """Tells of each step of a Trainer."""

    def __init__(self, measured: Measured):
        self.measured = measured

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.measured.step()


class Flattened(nn.Module):
    """A classifier of texts that stand in one row, as the flattening collator of transformers makes it."""

    def __init__(self, backbone: nn.Module, hidden: int):
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(hidden, 2)

    def forward(self, input_ids: Tensor, position_ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
        states = self.backbone(input_ids=input_ids, position_ids=position_ids).last_hidden_state[0]
        ends = torch.cat([position_ids[0, 1:] == 0, torch.ones_like(position_ids[0, :1], dtype=torch.bool)])
        logits = self.head(states[ends].to(self.head.weight.dtype)).float()
        return {"loss": nn.functional.cross_entropy(logits, labels[0, ends]), "logits": logits}


def trainer(
    scale: Scale, device: torch.device, rates: dict[str, float], *, rows: int, flattened: bool
) -> dict[str, Any]:
    """transformers.Trainer with bf16 and as many `rows` a pass; nothing of it looks at the memory that there is."""
    measured = Measured(device)
    dtype = frozen_dtype(device, "bf16") if scale.way == "lora" else torch.float32
    torch.manual_seed(0)
    config = copy.deepcopy(scale.config)
    config.pad_token_id = 0
    kind: Any = AutoModel if flattened else AutoModelForSequenceClassification
    with torch.device(device):
        model: Any = kind.from_config(config, dtype=dtype)
    shape = shape_of(scale.config, getattr(model, "model", getattr(model, "transformer", model)))
    if scale.adapters is not None:
        rank, targets = scale.adapters
        model = get_peft_model(model, LoraConfig(r=rank, lora_alpha=16, target_modules=list(targets)))
    if flattened:
        model = Flattened(model, int(scale.config.hidden_size)).to(device)
    texts = scale.texts(1 + STEPS)
    # The flattening collator takes a label for each token: that of the text stands at all of them.
    examples = [{"input_ids": ids, "labels": [i % 2] * len(ids) if flattened else i % 2} for i, ids in enumerate(texts)]
    collate = DataCollatorWithFlattening() if flattened else DataCollatorWithPadding(byte_tokenizer())
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=rows,
            gradient_accumulation_steps=scale.rows // rows,
            num_train_epochs=1,
            learning_rate=1e-5,
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            bf16=device.type == "cuda",
            tf32=True if device.type == "cuda" else None,
            use_cpu=device.type == "cpu",
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        Trainer(model, args, collate, examples, callbacks=[Steps(measured)]).train()  # pyright: ignore
    return measured.result(scale, shape, rates)


def loops(scale: Scale) -> dict[str, Callable[..., dict[str, Any]]]:
    """Every loop that is measured, by name."""
    own = {f"ours{', checkpointed' * c}": partial(ours, checkpointing=c) for c in scale.checkpointing}
    few = max(1, scale.rows // 4)
    return own | {
        f"Trainer, padded, {few} rows a pass": partial(trainer, rows=few, flattened=False),
        f"Trainer, flattened, {few} rows a pass": partial(trainer, rows=few, flattened=True),
    }


def run(folder: Path, scale: Scale, device: str, rates: dict[str, float], left: Callable[[], float]) -> dict[str, Any]:
    """Every loop once, as long as there is time: `left` seconds. What runs out of memory says so."""
    found: dict[str, Any] = {}
    for name, loop in loops(scale).items():
        if left() <= 0:
            found[name] = {"skipped": "the time is up"}
            continue
        try:
            found[name] = loop(scale, torch.device(device), rates)
        except torch.OutOfMemoryError as error:
            found[name] = {"out of memory": str(error).splitlines()[0]}
    return found
