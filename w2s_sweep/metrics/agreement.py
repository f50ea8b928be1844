"""How student and supervisor relate on the same examples: agreement, error inheritance, misfit, CAPA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from w2s_sweep.metrics.classification import predicted

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Hits, Probs, Truth


@dataclass(frozen=True)
class Agreement:
    """Shares of examples; None where the examples they are shares of do not occur."""

    overall: float | None
    """Student and supervisor predict the same class."""
    supervisor_right: float | None
    """The same, among the examples on which the supervisor is right: what the student keeps."""
    supervisor_wrong: float | None
    """The same, among the supervisor's errors: error inheritance."""
    correction: float | None
    """The student is right, among the supervisor's errors; 1 - inheritance for two classes."""

    @property
    def inheritance(self) -> float | None:
        """Share of the supervisor's errors that the student repeats."""
        return self.supervisor_wrong


def agreement(student: Probs, weak: Probs, truth: Truth) -> Agreement:
    """Agreement of the most likely classes; rows of all three arguments are the same examples."""
    own, taught = predicted(student), predicted(weak)
    same, right = own == taught, taught == truth
    return Agreement(
        overall=_share(same, np.ones_like(right)),
        supervisor_right=_share(same, right),
        supervisor_wrong=_share(same, ~right),
        correction=_share(own == truth, ~right),
    )


def _share(event: Hits, among: Hits) -> float | None:
    return float(event[among].mean()) if among.any() else None


def misfit(student: Probs, weak: Probs) -> float | None:
    """Mean of sum_k (p_k - q_k)^2 / 2; for two classes the mean of (p_1 - q_1)^2. None without examples.

    In the units of `brier`: theory expects the student's gain in Brier score to be about this (arXiv 2405.15116).
    """
    if not len(student):
        return None
    difference = student.astype(np.float64) - weak.astype(np.float64)
    return float((difference**2).sum(1).mean() / 2)


def capa(first: Probs, second: Probs, truth: Truth) -> float | None:
    """Chance-adjusted probabilistic agreement kappa_p of two models (arXiv 2502.04313), at most 1.

    (c_obs - c_exp) / (1 - c_exp): c_obs is the mean of sum_k p_k q_k, c_exp what two models of the same mean
    probability of the truth would give if their errors were independent and spread over the other classes. 0: no more
    alike than that. None without examples, or where both are always right (1 - c_exp is 0).
    """
    if not len(truth):
        return None
    p, q = first.astype(np.float64), second.astype(np.float64)
    rows = np.arange(len(truth))
    right_p, right_q = p[rows, truth].mean(), q[rows, truth].mean()
    observed = (p * q).sum(1).mean()
    expected = right_p * right_q + (1 - right_p) * (1 - right_q) / (p.shape[1] - 1)
    return float((observed - expected) / (1 - expected)) if expected < 1 else None
