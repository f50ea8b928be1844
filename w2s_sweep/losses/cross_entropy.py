"""Cross-entropy against soft labels: the naive weak-to-strong loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from w2s_sweep.config.schema import schema
from w2s_sweep.losses.base import Loss
from w2s_sweep.losses.softmax import log_softmax, soft_cross_entropy

if TYPE_CHECKING:
    from w2s_sweep.losses.shapes import PerExample, Scores


@schema
class CrossEntropy(Loss):
    """-sum_k y_k log p_k; the forward KL divergence KL(y || p) has the same gradient."""

    name: Literal["xent"] = "xent"

    def __call__(self, logits: Scores, labels: Scores, progress: float) -> PerExample:
        return soft_cross_entropy(labels, log_softmax(logits))
