"""Brier score: the squared error of the predicted probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from w2s_sweep.arrays import add_classes
from w2s_sweep.metrics.further import FURTHER, OfRole, RolePredictions
from w2s_sweep.metrics.means import OfMeans, mean

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Probs, Truth


class Brier(OfRole):
    name = "brier"
    title = "Brier"
    about = "mean squared error of the probability of the true class; of k classes half the sum over all"
    several = True
    place = 70

    def measure(self, role: RolePredictions) -> OfMeans:
        return brier(role.probs, role.truth)


FURTHER.register(Brier.name, Brier())


def brier(probs: Probs, truth: Truth) -> OfMeans:
    """Mean of sum_k (p_k - [k = truth])^2 / 2, in [0, 1]; for two classes the mean of (p_1 - truth)^2."""
    off = probs.astype(np.float64)
    off[..., np.arange(len(truth)), truth] -= 1
    return mean(add_classes(off**2) / 2)
