"""An objective against the truth beside the one of the weak labels: explicit conflict (Yang et al. 2024, arXiv
2406.11431). No choice of the config group `loss`, since it needs the truth of every training row."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from w2s_sweep.config.schema import schema
from w2s_sweep.losses.base import Loss, Share
from w2s_sweep.losses.softmax import log_softmax

if TYPE_CHECKING:
    from w2s_sweep.losses.shapes import PerExample, Scores, Stacked


@schema
class Conflict(Loss, choice=False):
    """inner + strength * [the student contradicts the truth t] * -log(1 - p_t).

    As in the code released with the paper, only predictions that contradict the truth already are rewarded: for two
    classes by the cross-entropy against 1 - t.
    """

    uses_batch_statistic: ClassVar[bool] = True  # the inner loss may use one

    name: Literal["conflict"] = "conflict"
    inner: Loss
    """The loss on the weak labels."""
    strength: Share
    """Weight of the reward, the paper's alpha; 0 is no conflict."""

    def __call__(self, logits: Scores, labels: Stacked, progress: float) -> PerExample:
        """`labels`: the weak labels, then the truth one-hot, side by side."""
        weak, truth = labels.chunk(2, dim=-1)
        log_p = log_softmax(logits)
        against = log_p.masked_fill(truth > 0, -float("inf")).logsumexp(-1)
        contradicts = logits.argmax(-1) != truth.argmax(-1)
        return self.inner(logits, weak, progress) - self.strength * contradicts * against
