"""The gradients of several students on one frozen base, in the same forward and backward passes: each is what it would
be alone, up to rounding. What goes wrong with one of them is repeated by each alone, so that no other has a part in it.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from w2s_sweep.config.finetune import Precision
from w2s_sweep.data.batches import move
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.collator import Batch, Collator
from w2s_sweep.models.device import autocast
from w2s_sweep.models.grouped import Owners, group
from w2s_sweep.models.readout import pool
from w2s_sweep.training.gradient import Learner, Step, backward_within_memory, slope_of_batch

log = logging.getLogger(__name__)


class Student(Learner, Protocol):
    """A learner of texts whose adapters stand on a twin of the base that others share."""

    model: Any
    """A classifier."""
    lengths: Sequence[Sequence[int]]
    collator: Collator
    device: torch.device
    precision: Precision
    token_budget: int

    def texts(self, rows: Sequence[int]) -> list[list[int]]:
        """What a forward pass of `rows` reads."""
        ...

    def arrange(self, scores: Tensor, rows: Sequence[int]) -> Tensor:
        """The logits of `rows` from what the model gave their `texts`."""
        ...

    def tokens_of(self, rows: Sequence[int]) -> int:
        """Tokens of all texts of `rows`."""
        ...


@dataclass(frozen=True)
class Answer:
    """What became of a step."""

    value: float | Exception
    """The mean loss, or why there is none."""
    share: float
    """Of the work that was done for all steps together."""


class Together:
    """Computes steps of students that have a base in common, as long as the same ones ask; then another one is made."""

    def __init__(self, students: Sequence[Student]):
        self.students = students
        self.owners = Owners()
        self.backbone = group([student.model.backbone for student in students], self.owners)
        self.collator = self.backbone.collator()
        self.token_budget = min(student.token_budget for student in students)
        self.apart = False
        """Whether a pass of all has failed, and not for want of memory."""
        self.items: list[tuple[int, int]] = []
        """(student, row) of the step that is computed now."""

    def micro_batches(self, rows: Sequence[int]) -> list[list[int]]:
        """Numbers of `items` in forward passes."""
        lengths = [self.students[student].lengths[row] for student, row in self.items]
        return self.collator.split(lengths, rows, self.token_budget)

    def shrink(self) -> None:
        self.token_budget = max(1, self.token_budget // 2)

    def __call__(self, steps: Sequence[Step]) -> list[float] | None:
        """The mean loss of each step, whose gradients are then accumulated; None where they have to be computed alone:
        something failed, or some number is not finite and may have spoilt others."""
        if self.apart:
            return None
        self.items = [(student, row) for student, step in enumerate(steps) for row in step.rows]
        params = {f"{i}.{name}": one for i, step in enumerate(steps) for name, one in step.params.items()}
        try:
            found = backward_within_memory(
                self, range(len(self.items)), lambda rows: self._backward(steps, rows), params, steps[0].seed
            )
        except Exception as error:  # the boundary: it may be of one student alone
            log.warning("cotrain: each student computes alone from here on: %s: %s", type(error).__name__, error)
            self.apart = True
            return None
        grads = [one.grad for one in params.values() if one.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)
        *values, size = torch.cat([found, norm[None]]).tolist()
        return values if all(map(math.isfinite, [*values, size])) else None

    def _backward(self, steps: Sequence[Step], rows: Sequence[int]) -> Tensor:
        """float32 [steps]: the mean losses."""
        parts = [self._by_student(part) for part in self.micro_batches(rows)]
        totals = torch.zeros(len(steps), device=self.students[0].device)
        slopes: dict[int, Tensor] = {}
        for student, step in enumerate(steps):
            if step.loss.uses_batch_statistic and sum(bool(part[student]) for part in parts) > 1:
                totals[student], slopes[student] = _slopes(step)
        for part in parts:
            shares: list[Tensor] = []
            for student, logits in enumerate(self._logits(part)):
                step, own = steps[student], part[student]
                if not own:
                    continue
                if student in slopes:
                    shares.append((logits * slopes[student][own]).sum())
                else:
                    shares.append(step.share(own, logits))
                    totals[student] += shares[-1].detach()
            torch.stack(shares).sum().backward()
        return totals

    def _by_student(self, part: Sequence[int]) -> list[list[int]]:
        """The rows of each student in a pass."""
        found: list[list[int]] = [[] for _ in self.students]
        for item in part:
            student, row = self.items[item]
            found[student].append(row)
        return found

    def _logits(self, rows: Sequence[Sequence[int]]) -> list[Tensor]:
        """Of the rows of each student."""
        read = [student.texts(own) for student, own in zip(self.students, rows, strict=True)]
        texts = [(i, text) for i, own in enumerate(read) for text in own]
        # Texts of one length next to each other: attention takes them in one call.
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place][1]))
        batch = self.collator.batch([texts[place][1] for place in order])
        self._count(read, batch)
        device = batch.ids.device
        owner = torch.tensor([texts[place][0] for place in order])
        if batch.texts is None:
            self.owners.put(move(owner, device)[:, None].expand_as(batch.ids))
        else:
            self.owners.put(move(owner.repeat_interleave(torch.tensor(batch.texts.lengths)), device)[None])
        place_of = torch.empty(len(order), dtype=torch.int64)
        place_of[order] = torch.arange(len(order))
        first: Classifier = self.students[0].model
        with autocast(device, self.students[0].precision):
            states = self.backbone.states(batch.ids, batch.mask, batch.texts)
            pooled = pool(states, batch.mask, first.pooling, self.backbone.is_decoder, batch.texts)
        parts = pooled[move(place_of, device)].split(list(map(len, read)))
        return [
            student.arrange(student.model.score(part), own) if own else part
            for student, part, own in zip(self.students, parts, rows, strict=True)
        ]

    def _count(self, read: Sequence[Sequence[Sequence[int]]], batch: Batch) -> None:
        for student, texts in zip(self.students, read, strict=True):
            wide = sum(map(len, texts)) if batch.texts is not None else len(texts) * batch.ids.shape[1]
            student.collator.count(texts, wide)


def _slopes(step: Step) -> tuple[Tensor, Tensor]:
    """The mean loss, and its slope at the logits [all rows, classes] of the rows of the step."""
    parts = step.learner.micro_batches(step.rows)
    value, slope = slope_of_batch(step.learner, parts, step.labels, step.loss, step.progress, step.weights)
    rows = [row for part in parts for row in part]
    by_row = slope.new_zeros(len(step.labels), slope.shape[1])
    by_row[rows] = slope
    return value, by_row


class Computer:
    """Answers the steps of whichever students ask at a time: together where there are several."""

    def __init__(self) -> None:
        self.group: Together | None = None

    def __call__(self, steps: Sequence[Step]) -> list[Answer]:
        students: list[Any] = [step.learner for step in steps]
        if len(steps) > 1:
            if self.group is None or list(map(id, self.group.students)) != list(map(id, students)):
                apart = self.group is not None and self.group.apart
                self.group = Together(students)
                self.group.apart = apart
            values = self.group(steps)
            if values is not None:
                works = [student.tokens_of(step.rows) for student, step in zip(students, steps, strict=True)]
                return [Answer(value, work / sum(works)) for value, work in zip(values, works, strict=True)]
        return [_answer_alone(step, 1 / len(steps)) for step in steps]


def _answer_alone(step: Step, share: float) -> Answer:
    step.forget()
    try:
        return Answer(step.alone(), share)
    except Exception as error:  # the boundary: the failure of one student is no other's
        return Answer(error, share)
