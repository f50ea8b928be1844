"""Accuracy: the share of examples whose most likely class is the true one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from w2s_sweep.metrics.base import METRICS, Metric

if TYPE_CHECKING:
    from w2s_sweep.metrics.further import RolePredictions
    from w2s_sweep.metrics.shapes import Classes, Hits, PerExample, Probs, SeveralProbs, SeveralScores, Truth


class Accuracy(Metric):
    name = "accuracy"
    label = "accuracy"
    about = "share of examples whose most likely class is the true one"
    axis = "accuracy (share of test examples)"
    short = "acc"

    def value(self, probs: Probs, truth: Truth) -> float | None:
        return accuracy(probs, truth)

    def chance(self, classes: int) -> float:
        return 1 / classes

    def scores(self, probs: Probs, truth: Truth) -> PerExample | None:
        """1 where the example is predicted correctly, else 0."""
        return hits(probs, truth).astype(np.float64) if len(truth) else None

    def scores_of_each(self, probs: SeveralProbs, role: RolePredictions) -> SeveralScores:
        return hits(probs, role.truth).astype(np.float64)


METRICS.register(Accuracy.name, Accuracy())


def most_likely(probs: Probs) -> Classes:
    """The most likely class of each example; the lowest of those that tie."""
    if probs.shape[-1] == 2:  # the usual case, and ten times as fast
        return (probs[..., 1] > probs[..., 0]).astype(np.intp)
    return probs.argmax(-1)


def hits(probs: Probs, truth: Truth) -> Hits:
    """Whether the most likely class is the true one."""
    return most_likely(probs) == truth


def accuracy(probs: Probs, truth: Truth) -> float | None:
    """Share of examples whose most likely class is the true one; None without examples."""
    return float(hits(probs, truth).mean()) if len(truth) else None
