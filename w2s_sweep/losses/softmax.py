"""Softmax quantities whose values and gradients stay finite for every finite logit and every label, zeros included."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from w2s_sweep.losses.shapes import PerExample, Scores


def wide(values: Scores) -> Scores:
    """`values` in float32 at least."""
    return values if values.dtype.itemsize >= 4 else values.float()


def log_softmax(logits: Scores) -> Scores:
    """log p; finite, since it is never the logarithm of a probability that was rounded to 0."""
    return wide(logits).log_softmax(-1)


def soft_cross_entropy(target: Scores, log_p: Scores) -> PerExample:
    """-sum_k target_k log p_k. The gradient by the logits of p is p - target for a constant target."""
    return -(wide(target) * log_p).sum(-1)


def floor_labels(labels: Scores, floor: float) -> Scores:
    """The labels with no class below `floor` (before they are scaled to sum to 1 again), so that log y is finite."""
    raised = wide(labels).clamp_min(floor)
    return raised / raised.sum(-1, keepdim=True)
