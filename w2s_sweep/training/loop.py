"""The one training loop: what a step computes depends on the optimizer batch alone, never on its micro-batches.

It asks for each gradient and goes on when it is there: who answers may compute those of several trainings together.

Everything random is derived from (seed, step), so a run that continues from a checkpoint repeats the uninterrupted one
bit for bit on the same device and thread count.
"""

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from w2s_sweep.data.batches import optimizer_batches
from w2s_sweep.errors import Preempted, W2SError
from w2s_sweep.losses import Loss
from w2s_sweep.training.checkpoint import restore, save
from w2s_sweep.training.gradient import Learner, Step, shrink_or_fail
from w2s_sweep.training.stopping import Best, EarlyStopping


@dataclass(frozen=True)
class Recipe:
    """How a learner is trained; see `config.finetune.Optimizer` for the meaning and units of the fields."""

    batch_size: int
    epochs: int
    lr: float
    seed: int
    lr_schedule: str = "cosine"
    lr_warmup: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    grad_clip: float | None = None

    def lr_at(self, step: int, steps: int) -> float:
        """Learning rate of optimizer step `step`, counted from 0."""
        warmup = round(self.lr_warmup * steps)
        if step < warmup:
            return self.lr * (step + 1) / warmup
        progress = (step - warmup) / max(1, steps - warmup)
        if self.lr_schedule == "cosine":
            return self.lr * 0.5 * (1 + math.cos(math.pi * progress))
        return self.lr * (1 - progress) if self.lr_schedule == "linear" else self.lr


@dataclass(frozen=True)
class Hooks:
    """How the loop talks to the world around it."""

    checkpoint: Path | None = None
    """File to resume from and to save to."""
    due: Callable[[], bool] = lambda: False
    """Whether it is time to save a checkpoint."""
    stop: Callable[[], bool] = lambda: False
    """Whether to save and leave as soon as possible."""
    resumed: Callable[[int], None] = lambda step: None
    """Called once with the number of steps that are already done."""
    saved: Callable[[int], None] = lambda step: None
    """Called after a checkpoint was written, with the number of steps in it."""
    report: Callable[[int, int, float, float], None] = lambda step, steps, loss, lr: None
    """Called after each step with (steps done, steps in all, mean loss, learning rate)."""
    after_step: Callable[[int, int], None] = lambda step, steps: None
    """Called after each step, before it can be in a checkpoint, with (steps done, steps in all)."""
    evaluated: Callable[[int, int, float], None] = lambda step, steps, score: None
    """Called after each evaluation of early stopping with (steps done, steps in all, score)."""
    seconds: Callable[[], float] = time.perf_counter
    """What the training has taken by now; differences alone count."""


T = TypeVar("T")
Training = Generator[Step, float, T]
"""Asks for a gradient at a time, and is sent its mean loss once it is accumulated; ends with a result."""


def finish(training: Training[T]) -> T:
    """Go through a training to its end, which computes by itself."""
    try:
        step = next(training)
        while True:
            step = training.send(step.alone())
    except StopIteration as end:
        return end.value


def train(
    learner: Learner,
    rows: Sequence[int],
    labels: Tensor,
    loss: Loss,
    recipe: Recipe,
    hooks: Hooks | None = None,
    *,
    weights: Tensor | None = None,
    stopping: EarlyStopping | None = None,
) -> int:
    """`train_in_steps` to its end."""
    return finish(
        train_in_steps(learner, rows, labels, loss, recipe, hooks or Hooks(), weights=weights, stopping=stopping)
    )


def train_in_steps(
    learner: Learner,
    rows: Sequence[int],
    labels: Tensor,
    loss: Loss,
    recipe: Recipe,
    hooks: Hooks,
    *,
    weights: Tensor | None = None,
    stopping: EarlyStopping | None = None,
) -> Training[int]:
    """Train on `rows` with soft `labels` (float32 [all rows, classes], indexed by row).

    `weights` (float32 [all rows]): factor of each example's loss. Returns after which step the parameters are those
    that the learner has in the end: the last one, or with `stopping` the best one.
    """
    params = learner.trainable()
    optimizer = torch.optim.AdamW(
        params.values(),
        lr=recipe.lr,
        betas=recipe.betas,
        eps=1e-8,
        weight_decay=recipe.weight_decay,
        # One kernel for all parameters: on a GPU no temporary copies of them, on a CPU an eighth of the time.
        fused=True,
    )
    batches = optimizer_batches(len(rows), recipe.batch_size, recipe.epochs, recipe.seed)
    best = Best()
    start = restore(hooks.checkpoint, params, optimizer, best)
    hooks.resumed(start)
    for step in range(start, len(batches)):
        if hooks.stop():
            _save(hooks, step, params, optimizer, best)
            raise Preempted
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr_at(step, len(batches))
        chosen, began = [rows[i] for i in batches[step]], hooks.seconds()
        # By step: a resumed run draws the dropout masks that it would have drawn, with no generator state to save.
        seed = _mix_seed(recipe.seed, step)
        value = yield Step(learner, chosen, labels, loss, step / len(batches), weights, params, seed)
        # Before the step: parameters that such a loss would spoil never reach a checkpoint.
        if not math.isfinite(value):
            raise W2SError(
                f"finetune.lr: the loss became {value} at step {step + 1} of {len(batches)} with {recipe.lr:g}. "
                "Lower finetune.lr, set finetune.grad_clip=1.0, or set finetune.precision=fp32."
            )
        if recipe.grad_clip is not None:
            torch.nn.utils.clip_grad_norm_(params.values(), recipe.grad_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        # A GPU may still be at this update; then the next step, which reads a number back, is longer by as much.
        learner.measure(chosen, hooks.seconds() - began)
        hooks.report(step + 1, len(batches), value, recipe.lr_at(step, len(batches)))
        hooks.after_step(step + 1, len(batches))
        if stopping is not None and stopping.due(step + 1, len(batches)):
            score = stopping.score()
            best.offer(step + 1, score, params)
            hooks.evaluated(step + 1, len(batches), score)
        if hooks.due():
            _save(hooks, step + 1, params, optimizer, best)
    if stopping is None or not best.params:
        return len(batches)
    best.put_into(params)
    return best.step


def predict(learner: Learner, rows: Sequence[int], stop: Callable[[], bool] = lambda: False) -> np.ndarray:
    """float32 logits [rows, classes] in the order of `rows`."""
    out: dict[int, np.ndarray] = {}
    waiting = learner.micro_batches(rows)
    while waiting:
        part, *waiting = waiting
        if stop():
            raise Preempted
        try:
            with torch.no_grad():
                found = learner.logits(part).float().cpu().numpy()
        except torch.cuda.OutOfMemoryError as error:
            reason = str(error)
        else:
            out |= dict(zip(part, found, strict=True))
            continue
        shrink_or_fail(learner, part, reason)
        waiting = learner.micro_batches([row for part in [part, *waiting] for row in part])
    return np.stack([out[row] for row in rows])


def _mix_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])


def _save(hooks: Hooks, step: int, params: dict[str, Tensor], optimizer: torch.optim.Optimizer, best: Best) -> None:
    if hooks.checkpoint is not None:
        save(hooks.checkpoint, step, params, optimizer, best)
        hooks.saved(step)
