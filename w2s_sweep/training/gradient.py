"""The gradient of a step: that of the mean loss over its rows, in forward passes that fit into memory."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from w2s_sweep.errors import W2SError
from w2s_sweep.losses import Loss

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


class Splits(Protocol):
    """What computes rows in forward passes of a size that it can change."""

    def micro_batches(self, rows: Sequence[int]) -> list[list[int]]: ...

    def shrink(self) -> None: ...


@dataclass(frozen=True)
class Step:
    """The gradient that a training asks for: of the mean (weighted) loss over `rows`.

    The sum of weighted losses is divided by the number of rows, not by the sum of their weights: how much an example
    counts does not depend on which others its batch holds. Statistics of the batch are those without weights.
    """

    learner: Learner
    rows: Sequence[int]
    labels: Tensor
    loss: Loss
    progress: float
    weights: Tensor | None = None
    params: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """Where it is accumulated."""
    seed: int = 0
    """Of the dropout masks."""

    def alone(self) -> float:
        """Accumulate it, in passes of these rows; returns the mean loss."""
        return backward_within_memory(self.learner, self.rows, lambda: backward(self), self.params, self.seed)

    def weigh(self, values: Tensor, rows: Sequence[int]) -> Tensor:
        """The loss of each of `rows` times its weight."""
        return values if self.weights is None else values * self.weights[list(rows)]

    def share(self, rows: Sequence[int], logits: Tensor) -> Tensor:
        """What some of the rows add to the mean."""
        # The sum over them by the rows of the whole batch: parts differ in size, and a mean of their means would weigh
        # rows of small parts more (the defect of huggingface/transformers#34191).
        return self.weigh(self.loss(logits, self.labels[rows], self.progress), rows).sum() / len(self.rows)

    def slopes(self, parts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """(mean loss over the rows of all parts, its slope at each of their logits, in their order)."""
        # A statistic of the batch needs all logits together, whose graphs would not fit into memory together. By the
        # chain rule the second pass needs no more than the slope of the loss at each logit (Gao et al. 2021, arXiv
        # 2101.06983).
        with torch.no_grad():
            logits = torch.cat([self.learner.logits(part) for part in parts])
        logits.requires_grad_()
        rows = [row for part in parts for row in part]
        value = self.weigh(self.loss(logits, self.labels[rows], self.progress), rows).mean()
        (slope,) = torch.autograd.grad(value, logits)
        return value.detach(), slope

    def forget(self) -> None:
        """Drop what has been accumulated."""
        for param in self.params.values():
            param.grad = None


V = TypeVar("V")


def backward_within_memory(
    learner: Splits,
    rows: Sequence[int],
    run: Callable[[], V],
    params: Mapping[str, Tensor],
    seed: int,
) -> V:
    """`run()`, from the start with half as large forward passes as often as they do not fit into memory."""
    while True:
        torch.manual_seed(seed)
        try:
            return run()
        except torch.cuda.OutOfMemoryError as error:
            reason = str(error)
        # Here and not above: an exception that is handled keeps the frames, and with them the tensors, alive.
        for param in params.values():
            param.grad = None
        shrink_or_fail(learner, rows, reason)


def shrink_or_fail(learner: Splits, rows: Sequence[int], reason: str) -> None:
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


def backward(step: Step) -> float:
    """Accumulate the gradient of a step; returns the mean loss over its rows, with the penalty."""
    learner = step.learner
    parts = learner.micro_batches(step.rows)
    if len(parts) > 1 and step.loss.uses_batch_statistic:
        total = _backward_whole_batch(step, parts)
    else:
        total = torch.zeros(())
        for part in parts:
            share = step.share(part, learner.logits(part))
            # At once: this frees the graph of the part, so that memory holds one part at a time.
            share.backward()
            total = total.to(share.device) + share.detach()
    penalty = learner.penalty()
    if penalty is not None:
        penalty.backward()
        total = total + penalty.detach()
    # Once a step: whoever reads a number waits until the GPU has computed all before it.
    return float(total)


def _backward_whole_batch(step: Step, parts: Sequence[Sequence[int]]) -> Tensor:
    """For losses with a statistic of the batch: the gradient by logits first, over all of it, then by weights."""
    # fork_rng puts the generator back, so that the second pass draws the same dropout masks.
    with torch.random.fork_rng():
        value, slope = step.slopes(parts)
    for part, part_slope in zip(parts, slope.split([len(part) for part in parts]), strict=True):
        (step.learner.logits(part) * part_slope).sum().backward()
    return value
