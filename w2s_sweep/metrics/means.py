"""Metrics that depend on the examples through means alone: their value, and what each example adds to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from w2s_sweep.arrays import Array

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Hits, PerExample, Scores, Terms

STEP = 1e-6
"""Of the slopes of a metric by its means, which are about 1."""


@dataclass(frozen=True, eq=False)
class OfMeans:
    """of(means of the columns of `terms`)."""

    terms: Terms
    """[..., examples, terms] What each example adds to each mean."""
    of: Callable[[Array], Array]
    """Means [terms, ...] -> the metric [...]; NaN where it is undefined."""

    @property
    def value(self) -> float | None:
        """On all examples; None where it is undefined, as without examples."""
        if not len(self.terms):
            return None
        found = float(self.of(self.terms.mean(0, dtype=np.float64)))
        return None if np.isnan(found) else found

    def scores(self) -> PerExample | None:
        """A number for each example: their mean is the metric, their spread its sampling error; None if undefined.

        This is the delta method: `of` is replaced by its tangent at the means.
        """
        if not len(self.terms):
            return None
        (found,) = score_all(self.terms[None], self.of)
        return None if np.isnan(found[0]) else found


def score_all(terms: Array, of: Callable[[Array], Array]) -> Array:
    """`OfMeans.scores` [sets, examples] of several sets [sets, examples, terms]; NaN where the metric is undefined."""
    wide = terms.astype(np.float64)
    # Row after row, as NumPy adds up several columns, but of all sets at once.
    means = wide.mean(1) if wide.shape[2] == 1 else np.ascontiguousarray(wide.swapaxes(0, 1)).mean(0)
    at, steps = means.T[:, :, None], STEP * np.eye(means.shape[1])[:, None, :]
    slopes = np.nan_to_num((of(at + steps) - of(at - steps)) / (2 * STEP))
    start = of(means.T) - (means * slopes).sum(1)
    return (wide @ slopes[:, :, None])[:, :, 0] + start[:, None]


def mean(values: Scores | Hits) -> OfMeans:
    """The mean of one number an example."""
    return OfMeans(values[..., None], itself)


def share(event: Hits, among: Hits) -> OfMeans:
    """Share of the examples `among` in which the event happened; undefined where there are none."""
    return OfMeans(np.stack([event & among, among], -1), ratio)


def itself(means: Array) -> Array:
    """The one mean that there is, [1, ...]."""
    return np.asarray(means[0])


def ratio(means: Array) -> Array:
    """The first mean [...] over the second, NaN where that is 0; `means` is [2, ...]."""
    above, below = means.astype(np.float64)
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
