"""Evidential learning from several supervisors (Cui et al. 2024, "Bayesian WeakS-to-Strong", arXiv 2406.03199)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.losses.base import Loss, Share
from w2s_sweep.losses.hardening import hardest
from w2s_sweep.losses.schedule import linear_warmup
from w2s_sweep.losses.softmax import soft_cross_entropy, wide

if TYPE_CHECKING:
    from w2s_sweep.losses.shapes import PerExample, Scores

MOST_EVIDENCE = 10.0
"""Logits beyond this count as this in the divergence from the prior, whose terms grow with their exponential."""


@schema
class Evidential(Loss):
    """The student's logits z are the parameters alpha = 1 + exp(z) of a Dirichlet over what the supervisors say.

    sum_k v_k [log(sum_j alpha_j) - log alpha_k + kl * progress * KL_k]: the marginal likelihood of the label k (Sensoy
    et al. 2018, arXiv 1806.01768), and KL_k, the divergence of the Dirichlet without its evidence for k from the flat
    one. v is (1 - c) y + c own with `own` the student's most likely class and c growing over training, as in the code
    released with the paper. The loss is linear in v, so that y, the votes of several supervisors (method=weak_ensemble
    method.rule=vote), stands for the sum of the losses against each. Predictions stay the softmax of z, whose most
    likely class is that of the Dirichlet's mean.
    """

    name: Literal["evidential"] = "evidential"
    kl: Annotated[float, Field(ge=0)] = 1e-4
    """Weight of the divergence from the flat prior at the end of training; it grows with the steps."""
    max_weight: Share = 0.25
    """Weight of the student's own class after the warm-up; 0 is learning from the supervisors alone."""
    warmup: Share = 0.25
    """Share of the steps over which that weight rises linearly from 0."""

    def weight(self, progress: float) -> float:
        """Weight of the student's own class at `progress`."""
        return self.max_weight * linear_warmup(progress, self.warmup)

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        own = self.weight(progress)
        target = (1 - own) * wide(labels) + own * hardest(logits)
        scores = wide(logits)
        log_alpha = scores.logaddexp(scores.new_zeros(()))  # log(1 + exp z)
        data = soft_cross_entropy(target, log_alpha.log_softmax(-1))
        return data + self.kl * progress * (target * misplaced_evidence(logits)).sum(-1)


def misplaced_evidence(logits: Scores) -> Scores:
    """KL_k for every class k, which is 0 where there is evidence for k alone."""
    alpha = 1 + logits.double().clamp_max(MOST_EVIDENCE).exp()
    classes = logits.shape[-1]
    each = (alpha - 1) * alpha.digamma() - alpha.lgamma()
    total = alpha.sum(-1, keepdim=True) - alpha + 1
    found = total.lgamma() - (total - classes) * total.digamma() + each.sum(-1, keepdim=True) - each
    return (found - math.lgamma(classes)).to(wide(logits).dtype)
