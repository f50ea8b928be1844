"""The sampling error of a mean over seeds and test examples together.

Seeds are crossed with groups of test examples: a group is an observation that comes back in every seed which holds it,
a seed is a run that all of its examples share. The variance of the mean is that of the groups, plus that of the runs,
minus what both count (two-way clusters, Cameron, Gelbach and Miller 2011, doi:10.1198/jbes.2010.07136; crossed random
effects, Owen 2007, doi:10.1214/07-AOAS122).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, repeat
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Columns, Names, RowCodes, Rows, Single, Square, Sums, Totals


@dataclass(frozen=True, eq=False)
class Design:
    """Which seed and which group each row is of. A row is a test example in one seed, seeds one after another."""

    seeds: RowCodes
    """0..seeds-1, rising."""
    groups: RowCodes
    """0..groups-1: equal for examples of one group, in whichever seed."""

    @classmethod
    def of(cls, names: Sequence[Names]) -> Design:
        """`names`: for every seed the name of the group of each of its test examples."""
        seeds = np.repeat(np.arange(len(names)), [len(found) for found in names])
        _, groups = np.unique(np.concatenate([found.astype(str) for found in names]), return_inverse=True)
        return cls(seeds, groups.reshape(-1))

    @cached_property
    def counts(self) -> tuple[int, int]:
        """(seeds, groups)."""
        return int(self.seeds[-1]) + 1, int(self.groups.max()) + 1

    @cached_property
    def spans(self) -> list[slice]:
        """The rows of each seed."""
        ends = np.cumsum(np.bincount(self.seeds)).tolist()
        return [slice(start, end) for start, end in pairwise([0, *ends])]

    @cached_property
    def shares(self) -> Rows:
        """The weight of each row in a mean: every seed counts the same."""
        return 1 / (self.counts[0] * np.bincount(self.seeds)[self.seeds])

    @cached_property
    def inside(self) -> RowCodes:
        """0, 1, ...: equal for rows of one group in one seed."""
        return np.unique(self.seeds * self.counts[1] + self.groups, return_inverse=True)[1].reshape(-1)

    @cached_property
    def apart(self) -> bool:
        """Whether each row is a group of its own in its seed."""
        return int(self.inside.max()) + 1 == len(self.inside)

    def moments(self, values: Sums) -> Moments:
        """Mean and covariance of several numbers a row."""
        seeds, groups = self.counts
        wide = values.astype(np.float64)
        per_seed = np.stack([wide[rows].mean(0) for rows in self.spans])
        mean = per_seed.mean(0)
        off = (wide - mean) * self.shares[:, None]
        both = _square(off if self.apart else _add(self.inside, off))
        of_groups = (both if seeds == 1 else _square(_add(self.groups, off))) * groups / max(1, groups - 1)
        of_runs = _square(per_seed - mean) / (seeds - 1) / seeds if seeds > 1 else None
        if groups == 1:
            of_groups = np.full_like(of_groups, np.inf)
        return Moments(mean, of_groups, of_runs, both, seeds, groups)


@dataclass(frozen=True, eq=False)
class Moments:
    """Means of several columns over the rows of a design, and the parts of their covariance."""

    mean: Columns
    of_groups: Square
    """Of the mean over groups, each with all seeds that hold it; infinite for a single group."""
    of_runs: Square | None
    """Of the mean over seeds; None for one seed, which cannot know it."""
    both: Square
    """What the two above both count: groups within a seed."""
    seeds: int
    groups: int

    def only(self, *columns: int) -> Moments:
        """The same of some columns."""
        chosen = np.ix_(columns, columns)
        of_runs = None if self.of_runs is None else self.of_runs[chosen]
        return Moments(
            self.mean[list(columns)], self.of_groups[chosen], of_runs, self.both[chosen], self.seeds, self.groups
        )

    def difference(self) -> Moments:
        """The same of the first column minus the second."""
        of_runs = None if self.of_runs is None else _contrast(self.of_runs)
        mean, of_groups, both = self.mean[:1] - self.mean[1:2], _contrast(self.of_groups), _contrast(self.both)
        return Moments(mean, of_groups, of_runs, both, self.seeds, self.groups)

    def singles(self) -> Iterator[tuple[float, float, float]]:
        """Of each column by itself: mean, variance and degrees of freedom, as `only` of it has them.

        In plain numbers: tables have a hundred columns a cell, and arrays of one number are slow.
        """
        of_groups, both = self.of_groups.diagonal().tolist(), self.both.diagonal().tolist()
        of_runs = repeat(None) if self.of_runs is None else self.of_runs.diagonal().tolist()
        for mean, group, run, shared in zip(self.mean.tolist(), of_groups, of_runs, both, strict=False):
            if run is None or self.groups == 1:
                variance = group
            else:
                variance = shared + max(group - shared, 0.0) + max(run - shared, 0.0)
            yield mean, variance, _freedom(variance, group, run, self.groups, self.seeds)

    @cached_property
    def covariance(self) -> Square:
        """Of the means, over seeds and groups.

        What groups share over seeds, and what a run's examples share, are estimated as differences. Where one comes out
        negative it is taken for 0, as Cameron, Gelbach and Miller do with eigenvalues: the sum is never indefinite, and
        never smaller than groups alone, or runs alone, say.
        """
        if self.of_runs is None or self.groups == 1:
            return self.of_groups
        return self.both + _positive(self.of_groups - self.both) + _positive(self.of_runs - self.both)

    @cached_property
    def freedom(self) -> float:
        """Degrees of freedom of the covariance's trace (Satterthwaite 1946), at least 1."""
        of_runs = None if self.of_runs is None else float(np.trace(self.of_runs))
        whole, of_groups = float(np.trace(self.covariance)), float(np.trace(self.of_groups))
        return _freedom(whole, of_groups, of_runs, self.groups, self.seeds)


def _freedom(whole: float, of_groups: float, of_runs: float | None, groups: int, seeds: int) -> float:
    """Satterthwaite's degrees of freedom of a variance with these parts."""
    if whole == 0 or groups < 2:
        return float(max(1, groups - 1))
    parts = [(of_groups, groups - 1)] if of_runs is None else [(of_groups, groups - 1), (of_runs, seeds - 1)]
    return max(1.0, 1 / sum((part / whole) ** 2 / freedom for part, freedom in parts))


def _add(codes: RowCodes, values: Sums) -> Totals:
    """Sums of the rows of each code."""
    return np.array([np.bincount(codes, column) for column in values.T]).T


def _square(totals: Totals) -> Square:
    return totals.T @ totals


def _positive(matrix: Square) -> Square:
    """A symmetric matrix without its negative eigenvalues."""
    if matrix.shape == (1, 1):  # the usual case, and ten times as fast
        return np.maximum(matrix, 0)
    if (
        matrix.shape == (2, 2)
        and matrix[0, 0] * matrix[1, 1] >= matrix[0, 1] ** 2
        and matrix[0, 0] >= 0 <= matrix[1, 1]
    ):
        return matrix
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 0)) @ vectors.T


def _contrast(covariance: Square) -> Single:
    """The variance of the first column minus the second; infinite where the first's is."""
    if not np.isfinite(covariance).all():
        return covariance[:1, :1]
    return np.array([[covariance[0, 0] - 2 * covariance[0, 1] + covariance[1, 1]]])
