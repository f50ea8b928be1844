"""Metrics that depend on the examples through means alone: their value, and what each example adds to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from w2s_sweep.arrays import Array

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Hits, PerExample, Terms

STEP = 1e-6
"""Of the slopes of a metric by its means, which are about 1."""


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

    def scores(self) -> PerExample | None:
        """A number for each example: their mean is the metric, their spread its sampling error; None if undefined.

        This is the delta method: `of` is replaced by its tangent at the means.
        """
        return scores_of({"": self})[""]


def score_all(terms: Array, of: Callable[[Array], Array]) -> Array:
    """`OfMeans.scores` [sets, examples] of several sets [sets, examples, terms]; NaN where the metric is undefined."""
    terms = terms.astype(np.float64)
    means = terms.mean(1)
    at, steps = means.T[:, :, None], STEP * np.eye(means.shape[1])[:, None, :]
    slopes = np.nan_to_num((of(at + steps) - of(at - steps)) / (2 * STEP))
    return of(means.T)[:, None] + ((terms - means[:, None]) @ slopes[:, :, None])[:, :, 0]


def scores_of(several: Mapping[str, OfMeans]) -> dict[str, PerExample | None]:
    """`OfMeans.scores` of each; those of one formula and the same examples are computed together."""
    alike: dict[tuple[Callable[[Array], Array], tuple[int, ...]], list[str]] = {}
    for name, one in several.items():
        alike.setdefault((one.of, one.terms.shape), []).append(name)
    found: dict[str, PerExample | None] = {}
    for (of, (count, _)), names in alike.items():
        scores = score_all(np.stack([several[name].terms for name in names]), of) if count else [None] * len(names)
        defined = (None if one is None or np.isnan(one[0]) else one for one in scores)
        found |= zip(names, defined, strict=True)
    return {name: found[name] for name in several}


def mean(values: PerExample | Hits) -> OfMeans:
    """The mean of one number an example."""
    return OfMeans(values[:, None], itself)


def share(event: Hits, among: Hits) -> OfMeans:
    """Share of the examples `among` in which the event happened; undefined where there are none."""
    return OfMeans(np.stack([event & among, among], 1), ratio)


def itself(means: Array) -> Array:
    """The one mean that there is, [1, ...]."""
    return np.asarray(means[0])


def ratio(means: Array) -> Array:
    """The first mean [...] over the second, NaN where that is 0; `means` is [2, ...]."""
    above, below = means.astype(np.float64)
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
