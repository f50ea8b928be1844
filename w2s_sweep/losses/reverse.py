"""Reverse losses: the student seeks one mode of the weak label instead of covering all of it (arXiv 2502.11107)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.losses.base import Loss
from w2s_sweep.losses.softmax import floor_labels, log_softmax

if TYPE_CHECKING:
    from w2s_sweep.losses.shapes import PerExample, Scores

LabelFloor = Annotated[float, Field(gt=0, le=0.1)]
"""Least probability a weak label gives to a class where its logarithm or reciprocal is taken."""


@schema
class ReverseKL(Loss):
    """KL(p || y) = sum_k p_k log(p_k / y_k), with the gradient through p; 0 where p is the floored label."""

    name: Literal["reverse_kl"] = "reverse_kl"
    label_floor: LabelFloor = 1e-6
    """Labels are raised to this and scaled to sum to 1 again: a hard label costs at most -log of it."""

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        log_p = log_softmax(logits)
        return (log_p.exp() * (log_p - floor_labels(labels, self.label_floor).log())).sum(-1)


@schema
class ReverseCrossEntropy(Loss):
    """-sum_k p_k log y_k: reverse KL without the entropy of p, so its minimum is a certain student."""

    name: Literal["reverse_xent"] = "reverse_xent"
    label_floor: LabelFloor = 1e-6
    """Labels are raised to this and scaled to sum to 1 again: a hard label costs at most -log of it."""

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        p = log_softmax(logits).exp()
        return -(p * floor_labels(labels, self.label_floor).log()).sum(-1)
