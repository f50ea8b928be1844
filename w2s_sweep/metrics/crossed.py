"""The sampling error of a mean over seeds and test examples together.

Seeds are crossed with groups of test examples: a group is an observation that comes back in every seed which holds it,
a seed is a run that all of its examples share. The variance of the mean is that of the groups, plus that of the runs,
minus what both count (two-way clusters, Cameron, Gelbach and Miller 2011, doi:10.1198/jbes.2010.07136; crossed random
effects, Owen 2007, doi:10.1214/07-AOAS122).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from w2s_sweep.arrays import Array

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Columns, Names, RowCodes, Rows, Single, Square, Sums, Totals, Values


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

    @cached_property
    def aligned(self) -> bool:
        """Whether all seeds have the same groups in the same order, each of a single row."""
        seeds, groups = self.counts
        return np.array_equal(self.groups, np.tile(self.groups[:groups], seeds)) and self.apart

    def moments(self, values: Values) -> Moments:
        """Mean and covariance of several numbers a row; of several sets of them at once, each by itself."""
        columns = np.ascontiguousarray(np.moveaxis(values, -1, -2), dtype=np.float64)
        return Moments(*self._parts(columns, lambda sums: sums @ np.swapaxes(sums, -1, -2)), *self.counts)

    def spread(self, columns: Sums) -> Spread:
        """Mean and variance of every column by itself."""
        parts = self._parts(columns, lambda sums: np.einsum("...r,...r->...", sums, sums))
        return Spread.of(*parts, *self.counts)

    def _parts(self, columns: Sums, square: Callable[[Sums], Array]) -> tuple[Array, Array, Array | None, Array]:
        """Means of columns; the squares of what is off them by group, by run, and by group within a run."""
        seeds, groups = self.counts
        per_seed = np.stack([columns[..., rows].mean(-1) for rows in self.spans], -1)
        mean = per_seed.mean(-1)
        off = columns - mean[..., None]
        off *= self.shares
        both = square(off if self.apart else _add(self.inside, off))
        of_groups = (both if seeds == 1 else square(self._by_group(off))) * groups / max(1, groups - 1)
        of_runs = square(per_seed - mean[..., None]) / (seeds - 1) / seeds if seeds > 1 else None
        if groups == 1:
            of_groups = np.full_like(of_groups, np.inf)
        return mean, of_groups, of_runs, both

    def _by_group(self, rows: Sums) -> Totals:
        """Sums over all seeds of each group, in whatever order."""
        if self.aligned:
            return rows.reshape(*rows.shape[:-1], *self.counts).sum(-2)
        return _add(self.groups, rows)


@dataclass(frozen=True, eq=False)
class Spread:
    """Means of columns [...], each by itself, over seeds and groups."""

    mean: Array
    variance: Array
    """Of the mean; infinite for a single group."""
    freedom: Array
    """Degrees of freedom of the variance."""

    @classmethod
    def of(cls, mean: Array, of_groups: Array, of_runs: Array | None, both: Array, seeds: int, groups: int) -> Spread:
        """Of the parts of the variances, as in `Moments`."""
        whole = of_groups
        if of_runs is not None and groups > 1:
            whole = both + np.maximum(of_groups - both, 0) + np.maximum(of_runs - both, 0)
        return cls(mean, whole, _freedom(whole, of_groups, of_runs, groups, seeds))

    def replace(self, where: Array, other: Spread) -> Spread:
        """With the columns of another where the mask says so."""
        pairs = ((other.mean, self.mean), (other.variance, self.variance), (other.freedom, self.freedom))
        mean, variance, freedom = (np.asarray(np.where(where, *pair)) for pair in pairs)
        return Spread(mean, variance, freedom)


@dataclass(frozen=True, eq=False)
class Moments:
    """Means of several columns over the rows of a design, and the parts of their covariance. Of several sets of columns
    at once the arrays have an axis before the others."""

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
        chosen = (..., *np.ix_(columns, columns))
        of_runs = None if self.of_runs is None else self.of_runs[chosen]
        mean = self.mean[..., list(columns)]
        return Moments(mean, self.of_groups[chosen], of_runs, self.both[chosen], self.seeds, self.groups)

    def of_set(self, place: int) -> Moments:
        """The same of one of several sets."""
        of_runs = None if self.of_runs is None else self.of_runs[place]
        return Moments(self.mean[place], self.of_groups[place], of_runs, self.both[place], self.seeds, self.groups)

    def difference(self) -> Moments:
        """The same of the first column minus the second."""
        of_runs = None if self.of_runs is None else _contrast(self.of_runs)
        mean, of_groups, both = (
            self.mean[..., :1] - self.mean[..., 1:2],
            _contrast(self.of_groups),
            _contrast(self.both),
        )
        return Moments(mean, of_groups, of_runs, both, self.seeds, self.groups)

    def singles(self) -> Spread:
        """Of each column by itself: mean, variance and degrees of freedom, as `only` of it has them."""
        of_runs = None if self.of_runs is None else _diagonal(self.of_runs)
        of_groups, both = _diagonal(self.of_groups), _diagonal(self.both)
        return Spread.of(self.mean, of_groups, of_runs, both, self.seeds, self.groups)

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
    def freedom(self) -> Any:
        """Degrees of freedom of the covariance's trace (Satterthwaite 1946), at least 1: a number, of several sets an
        array."""
        of_runs = None if self.of_runs is None else _trace(self.of_runs)
        return _freedom(_trace(self.covariance), _trace(self.of_groups), of_runs, self.groups, self.seeds)


def _freedom(whole: Any, of_groups: Any, of_runs: Any, groups: int, seeds: int) -> Any:
    """Satterthwaite's degrees of freedom of variances with these parts; at most as many as groups within seeds have,
    which alone are left where the other parts are about 0."""
    least = np.full(np.shape(whole), float(max(1, groups - 1)))
    if groups < 2:
        return least[()]
    some = np.where(whole == 0, 1, whole)
    inverse = (of_groups / some) ** 2 / (groups - 1)
    if of_runs is not None:
        inverse = inverse + (of_runs / some) ** 2 / (seeds - 1)
    found = 1 / np.maximum(inverse, 1 / (groups * seeds - 1))
    return np.where(whole == 0, least, np.maximum(1.0, found))[()]  # a number, of one


def _add(codes: RowCodes, values: Sums) -> Totals:
    """Sums of the rows of each code."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return np.add.reduceat(values[..., order], starts, axis=-1)


def _diagonal(matrix: Square) -> Columns:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _trace(matrix: Square) -> Any:
    return np.trace(matrix, axis1=-2, axis2=-1)


def _positive(matrix: Square) -> Square:
    """A symmetric matrix without its negative eigenvalues."""
    if matrix.shape[-1] == 1:  # the usual case, and ten times as fast
        return np.maximum(matrix, 0)
    odd = ~_is_positive(matrix) if matrix.shape[-1] == 2 else np.ones(matrix.shape[:-2], dtype=bool)
    if not odd.any():
        return matrix
    found, (values, vectors) = matrix.copy(), np.linalg.eigh(matrix[odd])
    found[odd] = (vectors * np.maximum(values, 0)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    return found


def _is_positive(pairs: Square) -> Array:
    """Whether matrices [..., 2, 2] have no negative eigenvalue."""
    first, second, both = pairs[..., 0, 0], pairs[..., 1, 1], pairs[..., 0, 1]
    return np.asarray((first * second >= both**2) & (first >= 0) & (second >= 0))


def _contrast(covariance: Square) -> Single:
    """The variance of the first column minus the second; of sets in which something is not finite that of the first."""
    known = np.asarray(np.isfinite(covariance).all((-2, -1)))
    finite = np.where(known[..., None, None], covariance, 0)
    found = finite[..., 0, 0] - 2 * finite[..., 0, 1] + finite[..., 1, 1]
    return np.where(known, found, covariance[..., 0, 0])[..., None, None]
