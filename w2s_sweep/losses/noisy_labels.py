"""Standard losses for noisy labels, as baselines that know nothing of weak supervisors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.losses.base import Loss, Share
from w2s_sweep.losses.hardening import hardest
from w2s_sweep.losses.softmax import log_softmax, soft_cross_entropy, wide

if TYPE_CHECKING:
    from w2s_sweep.losses.shapes import PerExample, Scores


@schema
class GeneralisedCrossEntropy(Loss):
    """sum_k y_k (1 - p_k^q) / q (Zhang and Sabuncu 2018, arXiv 1805.07836); in [0, 1/q]."""

    name: Literal["gce"] = "gce"
    q: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Towards 0 it is cross-entropy, 1 is the mean absolute error 1 - p_y."""

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        return -(wide(labels) * (self.q * log_softmax(logits)).expm1()).sum(-1) / self.q


@schema
class LabelSmoothing(Loss):
    """CE against (1 - smoothing) y + smoothing / k (Szegedy et al. 2016, arXiv 1512.00567)."""

    name: Literal["label_smoothing"] = "label_smoothing"
    smoothing: Share = 0.1
    """Share of the target that is spread over all classes equally."""

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        target = (1 - self.smoothing) * wide(labels) + self.smoothing / labels.shape[-1]
        return soft_cross_entropy(target, log_softmax(logits))


@schema
class Bootstrap(Loss):
    """CE against label_weight y + (1 - label_weight) own throughout (Reed et al. 2015, arXiv 1412.6596)."""

    name: Literal["bootstrap"] = "bootstrap"
    target: Literal["soft", "hard"] = "hard"
    """soft: own is p, with the gradient through it, which minimises the entropy of p too. hard: own is the class with
    the largest p, constant in the gradient."""
    label_weight: Share = 0.8
    """Share of the weak label in the target; the paper takes .95 for soft and .8 for hard."""

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        log_p = log_softmax(logits)
        own = log_p.exp() if self.target == "soft" else hardest(logits)
        return soft_cross_entropy(self.label_weight * wide(labels) + (1 - self.label_weight) * own, log_p)
