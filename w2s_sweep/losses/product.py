"""Product of experts: the target is the renormalised product of the weak label and the student's own belief."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.losses.base import Loss
from w2s_sweep.losses.softmax import log_softmax, soft_cross_entropy, wide

if TYPE_CHECKING:
    from w2s_sweep.losses.shapes import PerExample, Scores


@schema
class Product(Loss):
    """CE(t, p) with t ~ p^strong_power * y^weak_power, constant in the gradient.

    The product is formed in logarithms, where p is never 0: a hard label that the student thinks impossible still is
    the target, and nothing is divided by 0.
    """

    name: Literal["product"] = "product"
    strong_power: Annotated[float, Field(ge=0, le=10)] = 1.0
    """How much the student's belief counts; 0 is cross-entropy for weak_power 1."""
    weak_power: Annotated[float, Field(gt=0, le=10)] = 1.0
    """How much the weak label counts."""

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        log_p = log_softmax(logits)
        target = (self.strong_power * log_p.detach() + self.weak_power * wide(labels).log()).softmax(-1)
        return soft_cross_entropy(target, log_p)
