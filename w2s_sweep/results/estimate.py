"""Numbers of test examples -> means with intervals, and PGRs, of cells that differ in the seed only.

One crossed design of seeds and groups serves all metrics, and all entries of the same test examples are computed
together: an entry is a cell by itself, the cells of a setting, or an evaluation of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.metrics import (
    METRICS,
    NO_CEILING,
    NO_TEST_LABELS,
    ROLES,
    Design,
    Interval,
    Recovery,
    Spread,
    crossed_intervals,
    recover_all,
    undefined_recovery,
    unscored_recovery,
)
from w2s_sweep.results.alike import compute_alike
from w2s_sweep.results.score import Batch, Measured

Entry = Sequence[Measured]
"""Cells that differ in the seed only."""
Ratio = tuple[str, str, str]
"""Names of the metric of the supervisor, the student and the ceiling, of which a PGR is the ratio of the gaps."""


@dataclass(frozen=True, eq=False)
class Estimated:
    """What is known of one entry."""

    means: dict[str, Interval]
    """Of every metric: over the cells that have it; no value where none has."""
    recoveries: dict[str, Recovery]
    """Of every ratio."""
    groups: int
    """Of test examples, of all seeds together."""


@dataclass
class Designs:
    """Makes designs, each once: cells of one task and seed have the same array of group names."""

    made: dict[tuple[int, ...], tuple[Sequence[Array], Design]] = field(
        default_factory=dict[tuple[int, ...], tuple[Sequence[Array], Design]]
    )
    """Identities of the arrays, which are kept here so that no other ones get these, -> their design."""

    def of(self, groups: Sequence[Array]) -> Design:
        """`groups`: of each seed the name of each example's group."""
        about = tuple(map(id, groups))
        if about not in self.made:
            self.made[about] = (groups, Design.of(groups))
        return self.made[about][1]


def estimate(entries: Sequence[Entry], ratios: Mapping[str, Ratio], designs: Designs) -> list[Estimated]:
    """Means and PGRs of all of these entries, in their order."""
    return compute_alike(
        entries,
        lambda cells: tuple(id(cell.batch) for cell in cells),
        lambda same: Table.of(same, designs).estimate(ratios),
    )


@dataclass(frozen=True, eq=False)
class Table:
    """Entries whose cells are of the same test examples, seed by seed."""

    names: tuple[str, ...]
    values: Array
    """[entries, names, rows]: the examples of all seeds, one after another; NaN in a seed without the metric."""
    lacking: frozenset[str]
    """Names that the cells of some seed do not have at all."""
    groups: Sequence[Array]
    """Of each seed."""
    designs: Designs

    @classmethod
    def of(cls, entries: Sequence[Entry], designs: Designs) -> "Table":
        batches = [cell.batch for cell in entries[0]]
        names = tuple(dict.fromkeys(name for batch in batches for name in batch.names))
        places = np.array([[cell.place for cell in cells] for cells in entries]).T
        lacking = frozenset(name for batch in batches for name in {*names} - {*batch.names})
        groups = [batch.groups for batch in batches]
        values, start = np.empty((len(entries), len(names), sum(map(len, groups)))), 0
        for batch, which in zip(batches, places, strict=True):
            stop = start + len(batch.groups)
            _put_in_order(batch, names, which, values[:, :, start:stop])
            start = stop
        return cls(names, values, lacking, groups, designs)

    @cached_property
    def design(self) -> Design:
        return self.designs.of(self.groups)

    @cached_property
    def defined(self) -> Array:
        """[seeds, entries, names] Whether a seed has a value."""
        return np.stack([~np.isnan(self.values[:, :, rows.start]) for rows in self.design.spans])

    def estimate(self, ratios: Mapping[str, Ratio]) -> list[Estimated]:
        """What is known of each entry."""
        bounds = [_bounds(name) for name in self.names]
        means = [dict(zip(self.names, one, strict=True)) for one in crossed_intervals(self._spread(), bounds)]
        recoveries = {name: self._recover(of) for name, of in ratios.items()}
        return [
            Estimated(of_entry, {name: found[i] for name, found in recoveries.items()}, self.design.counts[1])
            for i, of_entry in enumerate(means)
        ]

    def _spread(self) -> Spread:
        """Of each entry and name, over the seeds where it is defined."""
        defined, found = self.defined, self.design.spread(self.values)
        partly = defined.any(0) & ~defined.all(0)
        for pattern in np.unique(defined[:, partly], axis=1).T:
            alike = partly & (defined == pattern[:, None, None]).all(0)
            found = found.replace(alike, self._of_seeds(pattern))
        return found

    def _of_seeds(self, pattern: Array) -> Spread:
        """Of some of the seeds alone."""
        spans = [rows for rows, there in zip(self.design.spans, pattern, strict=True) if there]
        groups = [one for one, there in zip(self.groups, pattern, strict=True) if there]
        return self.designs.of(groups).spread(np.concatenate([self.values[:, :, rows] for rows in spans], 2))

    def _recover(self, of: Ratio) -> list[Recovery]:
        """The PGR of each entry, or why there is none: a role lacks the metric, or it is undefined."""
        for name, reason in ((of[0], NO_TEST_LABELS), (of[2], NO_CEILING)):
            if name not in self.names or name in self.lacking:
                return [unscored_recovery(reason)] * len(self.values)
        places = [self.names.index(name) for name in of]
        there: Array = np.all(self.defined[:, :, places], axis=0)
        whole = np.flatnonzero(np.all(there, axis=1))
        found = dict(zip(whole.tolist(), self._recover_whole(whole, places), strict=True))
        why = METRICS[of[0].partition("/")[0]].undefined_where
        return [found.get(i) or undefined_recovery(*_absent(one), why=why) for i, one in enumerate(there)]

    def _recover_whole(self, entries: Array, places: Sequence[int]) -> list[Recovery]:
        if not len(entries):
            return []
        weak, student, ceiling = (self.values[entries, place] for place in places)
        # Columns of their own for the gaps: differences of means would lose digits where the roles agree.
        return recover_all(self.design.moments(np.stack([student - weak, ceiling - weak], 1).swapaxes(1, 2)))


def _put_in_order(batch: Batch, names: tuple[str, ...], places: Array, out: Array) -> None:
    """Into `out` [entries, names, examples]: some cells of a batch, NaN where it lacks a name."""
    if batch.names == names:
        for into, place in zip(out, places.tolist(), strict=True):  # a copy each, and none of all
            into[:] = batch.values[place]
        return
    there = {name: place for place, name in enumerate(batch.names)}
    for place, name in enumerate(names):
        out[:, place] = batch.values[places, there[name]] if name in there else np.nan


def _absent(there: Array) -> list[str]:
    return [role for role, has in zip(ROLES, there.tolist(), strict=True) if not has]


def _bounds(name: str) -> tuple[float, float]:
    metric = name.partition("/")[0]
    return METRICS[metric].bounds if metric in METRICS else (-np.inf, np.inf)
