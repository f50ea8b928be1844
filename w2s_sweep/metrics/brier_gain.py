"""The student's gain in Brier score, and the misfit that should predict it (arXiv 2405.15116)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from w2s_sweep.arrays import add_classes
from w2s_sweep.metrics.brier import brier
from w2s_sweep.metrics.further import FURTHER, OfCell, RolePredictions
from w2s_sweep.metrics.means import OfMeans, mean

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Probs, Truth


class BrierGain(OfCell):
    name = "gain"
    title = "predicted gain"
    about = (
        "gain: Brier of the supervisor minus that of the student; misfit: their mean squared disagreement, needs no "
        "ground truth; theory (arXiv 2405.15116) expects a gain of about the misfit"
    )
    heads = (("gain/brier", "gain"), ("misfit", "misfit"))
    several = True
    place = 80

    def measure(self, roles: Mapping[str, RolePredictions]) -> Mapping[str, OfMeans]:
        student, weak = roles["student"].probs, roles["weak"].probs
        return {"misfit": misfit(student, weak), "gain/brier": gain(student, weak, roles["weak"].truth)}


FURTHER.register(BrierGain.name, BrierGain())


def misfit(student: Probs, weak: Probs) -> OfMeans:
    """Mean of sum_k (p_k - q_k)^2 / 2; for two classes the mean of (p_1 - q_1)^2.

    In the units of `brier`: theory expects the student's gain in Brier score to be about this (arXiv 2405.15116).
    """
    difference = student.astype(np.float64) - weak.astype(np.float64)
    return mean(add_classes(difference**2) / 2)


def gain(student: Probs, weak: Probs, truth: Truth) -> OfMeans:
    """By how much the student's Brier score is better than the supervisor's."""
    return mean((brier(weak, truth).terms - brier(student, truth).terms)[..., 0])
