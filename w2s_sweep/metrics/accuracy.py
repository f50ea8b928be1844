"""Accuracy: the share of examples whose most likely class is the true one. Paired by McNemar's exact test."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from w2s_sweep.metrics.base import METRICS, Metric
from w2s_sweep.metrics.cluster import SMALLEST

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Codes, Hits, PerExample, PerOutcome, PerResample, Probs, Truth, Weights


class Accuracy(Metric):
    name = "accuracy"
    label = "accuracy"
    about = "share of examples whose most likely class is the true one"
    axis = "accuracy (share of test examples)"
    short = "acc"
    resamples = 2000
    test = "McNemar"
    test_text = "McNemar's exact test"

    def value(self, probs: Probs, truth: Truth) -> float | None:
        return accuracy(probs, truth)

    def chance(self, classes: int) -> float:
        return 1 / classes

    def resample(self, probs: Probs, truth: Truth, drawn: Weights) -> PerResample:
        counts = hits(probs, truth).astype(np.float32) @ drawn  # whole numbers below 2^24: exact in float32
        return counts.astype(np.float64) / len(truth)

    def influence(self, probs: Probs, truth: Truth) -> PerExample | None:
        """1 where the example is predicted correctly, else 0: what McNemar's test counts."""
        return hits(probs, truth).astype(np.float64)

    def p_value(self, difference: float, changes: PerExample, examples: Codes, pairs: int) -> float:
        return mcnemar(changes, examples)


METRICS.register(Accuracy.name, Accuracy())


def most_likely(probs: Probs) -> Truth:
    """The most likely class of each example; the lowest of those that tie."""
    return probs.argmax(1)


def hits(probs: Probs, truth: Truth) -> Hits:
    """Whether the most likely class is the true one."""
    return most_likely(probs) == truth


def accuracy(probs: Probs, truth: Truth) -> float | None:
    """Share of examples whose most likely class is the true one; None without examples."""
    return float(hits(probs, truth).mean()) if len(truth) else None


def mcnemar(changes: PerExample, examples: Codes) -> float:
    """Exact two-sided p of equal accuracy.

    `changes` [rows] is 1 where only the second is right, -1 where only the first is, else 0; `examples` [rows] tells
    rows of the same example by a whole number. The sum of an example's changes is +c or -c with the same chance. Where
    no example occurs twice this is McNemar's exact test.
    """
    sums = np.bincount(examples, changes)
    observed = abs(round(float(sums.sum())))
    sizes, counts = np.unique(np.abs(np.rint(sums)).astype(int), return_counts=True)
    total = sum(int(size) * int(count) for size, count in zip(sizes, counts, strict=True))
    chances = np.ones(1)  # of the sum being -total, -total + 2, ...; its parity is that of the total
    for size, count in zip(sizes, counts, strict=True):
        if size:
            steps = np.zeros(size * count + 1)
            steps[::size] = binomial(int(count))
            chances = np.convolve(chances, steps)
    reached = np.abs(2 * np.arange(len(chances)) - total) >= observed
    return float(min(1.0, max(chances[reached].sum(), SMALLEST)))


def binomial(n: int) -> PerOutcome:
    """The chances of 0..n heads of n fair coins."""
    logs = np.array([math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)])
    return np.exp(logs - n * math.log(2))
