"""The gradients of several students on one frozen base, in the same forward and backward passes: each is what it would
be alone, up to rounding. What goes wrong with one of them is repeated by each alone, so that no other has a part in it.
"""

import logging
import math
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from w2s_sweep.config.finetune import Precision
from w2s_sweep.data.batches import move
from w2s_sweep.errors import DeviceLost
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.collator import Batch, Collator
from w2s_sweep.models.device import autocast, is_lost
from w2s_sweep.models.grouped import Owners, group
from w2s_sweep.models.readout import pool
from w2s_sweep.training.gradient import Learner, Step, backward_within_memory

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


class CommonPasses:
    """Computes steps of students that have a base in common, as long as the same ones ask; then another one is made."""

    def __init__(self, students: Sequence[Student]):
        self.students = students
        self.owners = Owners()
        self.backbone = group([student.model.backbone for student in students], self.owners)
        self.collator = self.backbone.collator()
        self.token_budget = min(student.token_budget for student in students)
        self.items: list[tuple[int, int]] = []
        """(student, row) of the step that is computed now."""

    def micro_batches(self, rows: Sequence[int]) -> list[list[int]]:
        """Numbers of `items` in forward passes."""
        lengths = [self.students[student].lengths[row] for student, row in self.items]
        return self.collator.split(lengths, rows, self.token_budget)

    def shrink(self) -> None:
        for student in self.students:  # they have passes of their own too, see `_slopes`
            student.shrink()
        self.token_budget = max(1, self.token_budget // 2)

    def __call__(self, steps: Sequence[Step]) -> list[float]:
        """The mean loss of each step, whose gradients are then accumulated; numbers that are not finite may stand for
        any of them, and for any of their gradients."""
        self.items = [(student, row) for student, step in enumerate(steps) for row in step.rows]
        params = {f"{i}.{name}": one for i, step in enumerate(steps) for name, one in step.params.items()}
        rows = range(len(self.items))
        return backward_within_memory(self, rows, lambda: self._backward(steps, rows, params), params, steps[0].seed)

    def _backward(self, steps: Sequence[Step], rows: Sequence[int], params: Mapping[str, Tensor]) -> list[float]:
        totals = self._accumulate(steps, rows)
        norm = torch.nn.utils.get_total_norm([one.grad for one in params.values() if one.grad is not None])
        # Once a step, and here: what a GPU could not compute is told to whoever waits for it.
        *values, size = torch.cat([totals, norm[None]]).tolist()
        return values if math.isfinite(size) else [math.nan for _ in steps]

    def _accumulate(self, steps: Sequence[Step], rows: Sequence[int]) -> Tensor:
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
        first: Classifier = self.students[0].model
        device, last = batch.ids.device, first.pooling == "last"
        owner = torch.tensor([texts[place][0] for place in order])
        if batch.texts is None:
            self.owners.put(move(owner, device)[:, None].expand_as(batch.ids))
        else:
            each = move(owner.repeat_interleave(torch.tensor(batch.texts.lengths)), device)[None]
            self.owners.put(each, batch.texts.ends if last and self.backbone.skips else None)
        place_of = torch.empty(len(order), dtype=torch.int64)
        place_of[order] = torch.arange(len(order))
        with autocast(device, self.students[0].precision):
            states = self.backbone.states(batch.ids, batch.mask, batch.texts, last=last)
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
    value, slope = step.slopes(parts)
    rows = [row for part in parts for row in part]
    by_row = slope.new_zeros(len(step.labels), slope.shape[1])
    by_row[rows] = slope
    return value, by_row


class Gradients:
    """Answers the steps of whichever students ask at a time: together where there are several."""

    def __init__(self) -> None:
        self.group: CommonPasses | None = None
        self.apart = False
        """Whether a pass of all has failed, and not for want of memory."""

    def __call__(self, steps: Sequence[Step]) -> list[Answer]:
        """Raises DeviceLost where the GPU can compute nothing any more: nobody can tell by whose fault."""
        if self.apart or len(steps) == 1:
            self.group = None  # its modules and gradients are of no use any more
        elif (values := self._try_together(steps)) is not None and all(map(math.isfinite, values)):
            works = [_student(step).tokens_of(step.rows) for step in steps]
            return [Answer(value, work / sum(works)) for value, work in zip(values, works, strict=True)]
        return [_answer_alone(step, len(steps)) for step in steps]  # one may have spoilt others

    def _try_together(self, steps: Sequence[Step]) -> list[float] | None:
        """The mean losses; None where each has to be computed alone, as something failed."""
        students = list(map(_student, steps))
        try:
            if self.group is None or list(map(id, self.group.students)) != list(map(id, students)):
                self.group = None  # before there is another one
                self.group = CommonPasses(students)
            return self.group(steps)
        except Exception as error:  # the boundary: it may be of one student alone
            _require_device(error)
            log.warning("cotrain: each student computes alone from here on: %s: %s", type(error).__name__, error)
            self.apart, self.group = True, None
            return None


def _student(step: Step) -> Any:
    """A `Student`, who asks for the step."""
    return step.learner


def _answer_alone(step: Step, students: int) -> Answer:
    step.forget()
    try:
        return Answer(step.alone(), 1 / students)
    except Exception as error:  # the boundary: the failure of one student is no other's
        if students > 1:
            _require_device(error)
        traceback.clear_frames(error.__traceback__)  # they hold the activations of the pass while others compute
        return Answer(error, 1 / students)


def _require_device(error: Exception) -> None:
    """DeviceLost where `error` has left a GPU that can compute nothing any more."""
    if is_lost():
        log.error("cotrain: %s: %s", type(error).__name__, error)
        raise DeviceLost([]) from error
