"""Metrics that depend on the examples through means alone: their value, and on every bootstrap resample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from w2s_sweep.arrays import Array

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Hits, PerExample, PerResample, Terms, Weights


@dataclass(frozen=True, eq=False)
class OfMeans:
    """of(means of the columns of `terms`)."""

    terms: Terms
    """What each example adds to each mean."""
    of: Callable[[Array], Array]
    """Means [terms, ...] -> the metric [...]; NaN where it is undefined."""

    @property
    def value(self) -> float | None:
        """On all examples; None where it is undefined, as without examples."""
        if not len(self.terms):
            return None
        found = float(self.of(self.terms.mean(0, dtype=np.float64)))
        return None if np.isnan(found) else found


def mean(values: PerExample | Hits) -> OfMeans:
    """The mean of one number an example."""
    return OfMeans(values[:, None], lambda means: means[0])


def share(event: Hits, among: Hits) -> OfMeans:
    """Share of the examples `among` in which the event happened; undefined where there are none."""
    return OfMeans(np.stack([event & among, among], 1), ratio)


def ratio(means: Array) -> Array:
    """The first mean [...] over the second, NaN where that is 0; `means` is [2, ...]."""
    above, below = means.astype(np.float64)
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)


def resample_means(metrics: Mapping[str, OfMeans], drawn: Weights) -> dict[str, PerResample]:
    """Every metric on every resample; all are of the same examples. One product serves them all."""
    terms = np.concatenate([metric.terms for metric in metrics.values()], axis=1).astype(np.float32)
    means = (terms.T @ drawn).astype(np.float64) / max(1, len(terms))
    ends = np.cumsum([metric.terms.shape[1] for metric in metrics.values()])[:-1]
    return {name: metric.of(part) for (name, metric), part in zip(metrics.items(), np.split(means, ends), strict=True)}
