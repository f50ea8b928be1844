"""Adaptive confidence: each example weighs its weak label against the student's own prediction by their losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.losses.base import Loss, Share
from w2s_sweep.losses.hardening import hardest
from w2s_sweep.losses.schedule import linear_warmup
from w2s_sweep.losses.softmax import log_softmax, soft_cross_entropy

if TYPE_CHECKING:
    from w2s_sweep.losses.shapes import PerExample, Scores


@schema
class AdaptiveConfidence(Loss):
    """(1 - b) CE(y, p) + b CE(k, p) with k the student's hard prediction (Guo et al. 2024, arXiv 2402.03749).

    b = e^{CE(k,p)/T} / (e^{CE(k,p)/T} + e^{CE(hard y,p)/T}), times the warm-up; constant in the gradient. It is 1/2
    where student and supervisor agree and falls towards 0 the more certain the student is of another class.
    """

    name: Literal["adaptive_confidence"] = "adaptive_confidence"
    temperature: Annotated[float, Field(gt=0, le=100)] = 0.5
    """T in nats: how fast the weight follows the difference of the two losses."""
    warmup: Share = 0.25
    """Share of the steps over which b rises linearly from 0."""

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        log_p = log_softmax(logits)
        own_loss = soft_cross_entropy(hardest(logits), log_p)
        weak_loss = soft_cross_entropy(hardest(labels), log_p)
        weight = ((own_loss - weak_loss).detach() / self.temperature).sigmoid() * linear_warmup(progress, self.warmup)
        return (1 - weight) * soft_cross_entropy(labels, log_p) + weight * own_loss
