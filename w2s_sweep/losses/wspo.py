"""Weak-to-strong preference optimisation: the student's implicit reward follows the supervisor's (Zhu et al. 2024,
arXiv 2410.18640)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.losses.base import Loss
from w2s_sweep.losses.softmax import wide

if TYPE_CHECKING:
    from w2s_sweep.losses.shapes import PerExample, Scores


@schema
class Wspo(Loss):
    """(m - gamma m_weak)^2, where m is the reward of a pair's first text minus that of its second.

    Rewards are beta log(pi / pi_ref), beta being the same for both models. This is the form per pair. The authors' code
    regresses the log-ratio of every token of the preferred answers; here a text is prompt and answer in one, and what
    the log-ratio of the prompt adds to both texts cancels in m. That code also weights the student's log-ratio, by .1,
    instead of the supervisor's: gamma=10 here. Labels made out of probabilities (by an ensemble, say) count as
    their logarithms.
    """

    reads: ClassVar[Literal["probs", "logits"]] = "logits"

    name: Literal["wspo"] = "wspo"
    gamma: Annotated[float, Field(gt=0)] = 10.0
    """How far the student's reward goes beyond (above 1) or short of its supervisor's; 10 is the published setting."""

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        missing = wide(logits) - self.gamma * wide(labels)
        return (missing[:, 1:] - missing[:, :1]).square().sum(-1)
