"""The one training loop: what a step computes depends on the optimizer batch alone, never on its micro-batches.

Everything random is derived from (seed, step), so a run that continues from a checkpoint repeats the uninterrupted one
bit for bit on the same device and thread count.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from w2s_sweep.data.batches import optimizer_batches
from w2s_sweep.errors import Preempted, W2SError
from w2s_sweep.losses import Loss
from w2s_sweep.training.checkpoint import restore, save
from w2s_sweep.training.stopping import Best, EarlyStopping

log = logging.getLogger(__name__)


class Learner(Protocol):
    """What is trained: rows of a dataset in, logits out."""

    def logits(self, rows: Sequence[int]) -> Tensor:
        """float32 [rows, classes], in the order of `rows`: logits, or whatever else the loss is a function of."""
        ...

    def micro_batches(self, rows: Sequence[int]) -> list[list[int]]:
        """`rows` split into forward passes that fit into memory."""
        ...

    def shrink(self) -> None:
        """From now on half as large forward passes: the last one did not fit into memory."""
        ...

    def measure(self, rows: Sequence[int], seconds: float) -> None:
        """Called after each step with its rows, and how long it took."""
        ...

    def trainable(self) -> dict[str, Tensor]:
        """Name -> parameter of what the optimizer updates."""
        ...

    def penalty(self) -> Tensor | None:
        """A term added to the mean loss of a step."""
        ...

    def mode(self, *, training: bool) -> None:
        """Switch what only training does, such as dropout, on or off."""
        ...


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
    """Train on `rows` with soft `labels` (float32 [all rows, classes], indexed by row).

    `weights` (float32 [all rows]): factor of each example's loss. Returns after which step the parameters are those
    that the learner has in the end: the last one, or with `stopping` the best one.
    """
    hooks = hooks or Hooks()
    params = learner.trainable()
    optimizer = torch.optim.AdamW(
        params.values(),
        lr=recipe.lr,
        betas=recipe.betas,
        eps=1e-8,
        weight_decay=recipe.weight_decay,
        # On a GPU one kernel for all parameters: no temporary copies of them, as `foreach` makes.
        fused=all(param.is_cuda for param in params.values()),
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
        chosen, began = [rows[i] for i in batches[step]], time.perf_counter()
        value = _backward_within_memory(
            learner,
            chosen,
            lambda rows, step=step: backward(learner, rows, labels, loss, step / len(batches), weights),
            params,
            # By step: a resumed run draws the dropout masks that it would have drawn, with no generator state to save.
            _mix_seed(recipe.seed, step),
        )
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
        learner.measure(chosen, time.perf_counter() - began)
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


def _backward_within_memory(
    learner: Learner,
    rows: Sequence[int],
    run: Callable[[Sequence[int]], float],
    params: Mapping[str, Tensor],
    seed: int,
) -> float:
    """`run(rows)`, from the start with half as large forward passes as often as they do not fit into memory."""
    while True:
        torch.manual_seed(seed)
        try:
            return run(rows)
        except torch.cuda.OutOfMemoryError as error:
            reason = str(error)
        # Here and not above: an exception that is handled keeps the frames, and with them the tensors, alive.
        for param in params.values():
            param.grad = None
        shrink_or_fail(learner, rows, reason)


def shrink_or_fail(learner: Learner, rows: Sequence[int], reason: str) -> None:
    """Half as large forward passes for `rows`; W2SError where each of them has a row of its own already."""
    before = len(learner.micro_batches(rows))
    while before < len(rows):
        learner.shrink()
        if (now := len(learner.micro_batches(rows))) > before:
            log.warning(
                "out of memory: %d forward passes for %d rows instead of %d. %s", now, len(rows), before, reason
            )
            torch.cuda.empty_cache()  # does nothing where no GPU is in use
            return
    raise W2SError(
        f"out of memory: a forward pass of a single row does not fit. Lower dataset.max_tokens, use finetune=lora or "
        f"finetune.precision=bf16, keep fewer layers of the model, or ask for a larger GPU. {reason}"
    )


def backward(
    learner: Learner,
    rows: Sequence[int],
    labels: Tensor,
    loss: Loss,
    progress: float,
    weights: Tensor | None = None,
) -> float:
    """Accumulate the gradient of the mean (weighted) loss over `rows`; returns that mean (with the penalty).

    The sum of weighted losses is divided by the number of rows, not by the sum of their weights: how much an example
    counts does not depend on which others its batch holds. Statistics of the batch are those without weights.
    """
    parts = learner.micro_batches(rows)
    if len(parts) > 1 and loss.uses_batch_statistic:
        total = _backward_whole_batch(learner, parts, labels, loss, progress, weights)
    else:
        total = torch.zeros(())
        for part in parts:
            values = loss(learner.logits(part), labels[part], progress)
            # The sum over the part by the rows of the whole batch: parts differ in size, and a mean of their means
            # would weigh rows of small parts more (the defect of huggingface/transformers#34191).
            share = _weigh(values, part, weights).sum() / len(rows)
            # At once: this frees the graph of the part, so that memory holds one part at a time.
            share.backward()
            total = total.to(share.device) + share.detach()
    penalty = learner.penalty()
    if penalty is not None:
        penalty.backward()
        total = total + penalty.detach()
    # Once a step: whoever reads a number waits until the GPU has computed all before it.
    return float(total)


def _weigh(values: Tensor, rows: Sequence[int], weights: Tensor | None) -> Tensor:
    return values if weights is None else values * weights[list(rows)]


def _backward_whole_batch(
    learner: Learner,
    parts: Sequence[Sequence[int]],
    labels: Tensor,
    loss: Loss,
    progress: float,
    weights: Tensor | None,
) -> Tensor:
    """For losses with a statistic of the batch: the gradient by logits first, over all of it, then by weights."""
    # A statistic of the batch needs all logits together, whose graphs would not fit into memory together. By the chain
    # rule the second pass needs no more than the slope of the loss at each logit (Gao et al. 2021, arXiv 2101.06983).
    # fork_rng puts the generator back, so that the second pass draws the same dropout masks.
    with torch.random.fork_rng(), torch.no_grad():
        logits = torch.cat([learner.logits(part) for part in parts])
    logits.requires_grad_()
    rows = [row for part in parts for row in part]
    value = _weigh(loss(logits, labels[rows], progress), rows, weights).mean()
    (slope,) = torch.autograd.grad(value, logits)
    for part, part_slope in zip(parts, slope.split([len(part) for part in parts]), strict=True):
        (learner.logits(part) * part_slope).sum().backward()
    return value.detach()


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
