"""f-divergences between weak label and student as losses (arXiv 2506.03109); in nats where logarithms occur.

Every divergence is >= 0 and 0 where p equals the label. Each function takes (y, log p) and gives one value a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from w2s_sweep.config.schema import schema
from w2s_sweep.losses.base import Loss
from w2s_sweep.losses.reverse import LabelFloor
from w2s_sweep.losses.softmax import floor_labels, log_softmax, wide

if TYPE_CHECKING:
    from w2s_sweep.losses.shapes import PerExample, Scores

TINY = 1e-37
"""Above the smallest normal float32; only ever replaces a mean of probabilities that are both 0 in float32."""


def jensen_shannon(y: Scores, log_p: Scores) -> PerExample:
    """KL(y || m) / 2 + KL(p || m) / 2 with m = (y + p) / 2; in [0, log 2]."""
    p = log_p.exp()
    log_m = ((y + p) / 2).clamp_min(TINY).log()
    return (y * (y.clamp_min(TINY).log() - log_m) + p * (log_p - log_m)).sum(-1) / 2


def jeffreys(y: Scores, log_p: Scores) -> PerExample:
    """KL(y || p) + KL(p || y)."""
    return ((y - log_p.exp()) * (y.log() - log_p)).sum(-1)


def squared_hellinger(y: Scores, log_p: Scores) -> PerExample:
    """sum (sqrt y - sqrt p)^2; in [0, 2]."""
    return (y.sqrt() - (log_p / 2).exp()).square().sum(-1)


def chi_squared(y: Scores, log_p: Scores) -> PerExample:
    """Pearson's, of the student from the label: sum (p - y)^2 / y."""
    return ((log_p.exp() - y).square() / y).sum(-1)


def total_variation(y: Scores, log_p: Scores) -> PerExample:
    """sum |p - y| / 2; in [0, 1]."""
    return (log_p.exp() - y).abs().sum(-1) / 2


@schema
class FDivergence(Loss):
    """One f-divergence between the weak label and p, with the gradient through p."""

    name: Literal["f_divergence"] = "f_divergence"
    divergence: Literal["js", "jeffreys", "hellinger", "chi_squared", "tv"] = "js"
    """js: Jensen-Shannon; jeffreys: KL both ways; hellinger: squared Hellinger; chi_squared: Pearson; tv: total
    variation."""
    label_floor: LabelFloor = 1e-3
    """jeffreys and chi_squared only: labels are raised to this and scaled to sum to 1 again, as both are infinite for a
    hard label. The largest chi_squared is about 1 / label_floor."""

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        log_p = log_softmax(logits)
        if self.divergence == "jeffreys":
            return jeffreys(floor_labels(labels, self.label_floor), log_p)
        if self.divergence == "chi_squared":
            return chi_squared(floor_labels(labels, self.label_floor), log_p)
        bounded = {"js": jensen_shannon, "hellinger": squared_hellinger, "tv": total_variation}
        return bounded[self.divergence](wide(labels), log_p)
