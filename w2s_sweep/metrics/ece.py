"""Expected calibration error: by how much confidence and accuracy differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.metrics.accuracy import hits
from w2s_sweep.metrics.further import FURTHER, OfRole, RolePredictions
from w2s_sweep.metrics.means import OfMeans

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Probs, Truth


class Ece(OfRole):
    name = "ece"
    title = "ECE"
    about = "expected calibration error, 15 bins; biased upwards, the more so the fewer the examples"
    several = True
    place = 60

    def measure(self, role: RolePredictions) -> OfMeans:
        return ece(role.probs, role.truth)


FURTHER.register(Ece.name, Ece())


BINS = 15
"""Of equal width over [0, 1] (Guo et al. 2017, arXiv 1706.04599)."""


def confidence_bins(probs: Probs, bins: int = BINS) -> tuple[Array, Array]:
    """(probability of the most likely class, number of its bin) of each example."""
    confidence = probs.max(-1).astype(np.float64)
    return confidence, np.minimum((confidence * bins).astype(int), bins - 1)


def ece(probs: Probs, truth: Truth, bins: int = BINS) -> OfMeans:
    """Expected calibration error of the most likely class, in [0, 1] (Guo et al. 2017, arXiv 1706.04599).

    Mean over examples of |accuracy - mean confidence| of the example's bin; `bins` of equal width over [0, 1].
    """
    confidence, member = confidence_bins(probs, bins)
    used = np.flatnonzero(np.bincount(member.ravel(), minlength=bins))
    gaps = np.zeros((*member.shape, len(used)))
    place = np.searchsorted(used, member)
    np.put_along_axis(gaps, place[..., None], (hits(probs, truth) - confidence)[..., None], -1)
    return OfMeans(gaps, lambda means: np.abs(means).sum(0))
