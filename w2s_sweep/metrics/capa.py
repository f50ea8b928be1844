"""Chance-adjusted probabilistic agreement of student and supervisor (arXiv 2502.04313)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from w2s_sweep.arrays import Array, add_classes
from w2s_sweep.metrics.further import FURTHER, OfCell, RolePredictions
from w2s_sweep.metrics.means import OfMeans, ratio

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Probs, Truth


class Capa(OfCell):
    name = "capa"
    title = "CAPA"
    about = "agreement beyond chance (arXiv 2502.04313); 0 is chance, 1 is identity"
    heads = (("capa", "κ"),)
    several = True
    place = 90

    def measure(self, roles: Mapping[str, RolePredictions]) -> Mapping[str, OfMeans]:
        return {"capa": capa(roles["student"].probs, roles["weak"].probs, roles["weak"].truth)}


FURTHER.register(Capa.name, Capa())


def capa(first: Probs, second: Probs, truth: Truth) -> OfMeans:
    """Chance-adjusted probabilistic agreement kappa_p of two models (arXiv 2502.04313), at most 1.

    (c_obs - c_exp) / (1 - c_exp): c_obs is the mean of sum_k p_k q_k, c_exp what two models of the same mean
    probability of the truth would give if their errors were independent and spread over the other classes. 0: no more
    alike than that. Undefined where both are always right (1 - c_exp is 0).
    """
    p, q = first.astype(np.float64), second.astype(np.float64)
    rows, others = np.arange(len(truth)), p.shape[-1] - 1

    def kappa(means: Array) -> Array:
        observed, right_p, right_q = means
        expected = right_p * right_q + (1 - right_p) * (1 - right_q) / others
        return ratio(np.stack([observed - expected, 1 - expected]))

    return OfMeans(np.stack([add_classes(p * q), p[..., rows, truth], q[..., rows, truth]], -1), kappa)
