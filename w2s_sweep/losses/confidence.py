"""The auxiliary confidence losses: a part of the target is what the student itself believes.

All are (1 - c) CE(y, p) + c CE(own, p) with `own` constant in the gradient and c growing over training.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from w2s_sweep.config.schema import schema
from w2s_sweep.losses.base import Loss, Share
from w2s_sweep.losses.hardening import harden_balanced, harden_matched
from w2s_sweep.losses.schedule import linear_warmup, released_warmup
from w2s_sweep.losses.softmax import log_softmax, soft_cross_entropy

if TYPE_CHECKING:
    from w2s_sweep.losses.shapes import PerExample, Scores


def _mix(log_p: Scores, labels: Scores, own: Scores, weight: float) -> PerExample:
    return (1 - weight) * soft_cross_entropy(labels, log_p) + weight * soft_cross_entropy(own, log_p)


@schema
class Confidence(Loss):
    """The paper's confidence loss (Burns et al. 2023, equation 1): `own` is hardened so that half the batch is class 1.

    See `hardening.balanced` for ties, odd batches and more than two classes.
    """

    uses_batch_statistic: ClassVar[bool] = True

    name: Literal["confidence"] = "confidence"
    max_weight: Share | None = 0.5
    """Weight of the student's own predictions after the warm-up; null is the student's `confidence_weight`, since the
    paper takes .75 for its largest students."""
    warmup: Share = 0.2
    """Share of the steps over which the weight rises linearly from 0."""

    def of_student(self, confidence_weight: float) -> Confidence:
        return self if self.max_weight is not None else replace(self, max_weight=confidence_weight)

    def weight(self, progress: float) -> float:
        """Weight of the student's own predictions at `progress`."""
        if self.max_weight is None:
            raise ValueError("max_weight: null is left to a student's model; take `of_student` of the loss first.")
        return self.max_weight * linear_warmup(progress, self.warmup)

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        return _mix(log_softmax(logits), labels, harden_balanced(logits), self.weight(progress))


@schema
class ConfidenceReleased(Loss):
    """The confidence loss as in the code released with the paper: class 1 is as frequent as in the batch's weak labels.

    See `hardening.matched` for the threshold; `schedule: linear` with a longer warm-up is the common correction.
    """

    uses_batch_statistic: ClassVar[bool] = True

    name: Literal["confidence_released"] = "confidence_released"
    max_weight: Share = 0.5
    """Weight of the student's own predictions after the warm-up."""
    warmup: Share = 0.1
    """Share of the steps of the warm-up."""
    schedule: Literal["released", "linear"] = "released"
    """released: the weight is max_weight * progress during the warm-up, then jumps to max_weight. linear: it rises from
    0 to max_weight over the warm-up."""

    def weight(self, progress: float) -> float:
        """Weight of the student's own predictions at `progress`."""
        ramp = released_warmup if self.schedule == "released" else linear_warmup
        return self.max_weight * ramp(progress, self.warmup)

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        log_p = log_softmax(logits)
        return _mix(log_p, labels, harden_matched(log_p, labels), self.weight(progress))


@schema
class Entropy(Loss):
    """The log-confidence loss in its entropy form: `own` is p itself, neither hardened nor balanced."""

    name: Literal["entropy"] = "entropy"
    max_weight: Share = 0.5
    """Weight of the student's own predictions after the warm-up."""
    warmup: Share = 0.2
    """Share of the steps over which the weight rises linearly from 0."""
    stop_gradient: bool = True
    """true: p is constant as a target, as in public code. CE(p, p) then has no gradient of its own, so the gradient is
    (1 - weight) times that of cross-entropy. false: the entropy of p is minimised."""

    def weight(self, progress: float) -> float:
        """Weight of the student's own predictions at `progress`."""
        return self.max_weight * linear_warmup(progress, self.warmup)

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        log_p = log_softmax(logits)
        own = log_p.detach().exp() if self.stop_gradient else log_p.exp()
        return _mix(log_p, labels, own, self.weight(progress))
