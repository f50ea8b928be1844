"""How student and supervisor relate on the same examples: agreement, error inheritance, misfit, CAPA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from w2s_sweep.metrics.classification import brier, predicted
from w2s_sweep.metrics.means import OfMeans, mean, ratio, share

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Probs, Truth

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Agreement:
    """Shares of examples; undefined where the examples they are shares of do not occur."""

    overall: OfMeans
    """Student and supervisor predict the same class."""
    supervisor_right: OfMeans
    """The same, among the examples on which the supervisor is right: what the student keeps."""
    supervisor_wrong: OfMeans
    """The same, among the supervisor's errors: error inheritance, the share of them that the student repeats."""
    correction: OfMeans
    """The student is right, among the supervisor's errors; 1 - inheritance for two classes."""


def agreement(student: Probs, weak: Probs, truth: Truth) -> Agreement:
    """Agreement of the most likely classes; rows of all three arguments are the same examples."""
    own, taught = predicted(student), predicted(weak)
    same, right = own == taught, taught == truth
    return Agreement(
        overall=mean(same),
        supervisor_right=share(same, right),
        supervisor_wrong=share(same, ~right),
        correction=share(own == truth, ~right),
    )


def misfit(student: Probs, weak: Probs) -> OfMeans:
    """Mean of sum_k (p_k - q_k)^2 / 2; for two classes the mean of (p_1 - q_1)^2.

    In the units of `brier`: theory expects the student's gain in Brier score to be about this (arXiv 2405.15116).
    """
    difference = student.astype(np.float64) - weak.astype(np.float64)
    return mean((difference**2).sum(1) / 2)


def gain(student: Probs, weak: Probs, truth: Truth) -> OfMeans:
    """By how much the student's Brier score is better than the supervisor's."""
    return mean((brier(weak, truth).terms - brier(student, truth).terms)[:, 0])


def capa(first: Probs, second: Probs, truth: Truth) -> OfMeans:
    """Chance-adjusted probabilistic agreement kappa_p of two models (arXiv 2502.04313), at most 1.

    (c_obs - c_exp) / (1 - c_exp): c_obs is the mean of sum_k p_k q_k, c_exp what two models of the same mean
    probability of the truth would give if their errors were independent and spread over the other classes. 0: no more
    alike than that. Undefined where both are always right (1 - c_exp is 0).
    """
    p, q = first.astype(np.float64), second.astype(np.float64)
    rows, others = np.arange(len(truth)), p.shape[1] - 1

    def kappa(means: Array) -> Array:
        observed, right_p, right_q = means
        expected = right_p * right_q + (1 - right_p) * (1 - right_q) / others
        return ratio(np.stack([observed - expected, 1 - expected]))

    return OfMeans(np.stack([(p * q).sum(1), p[rows, truth], q[rows, truth]], 1), kappa)
