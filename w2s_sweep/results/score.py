"""Test predictions of the roles -> a number for each test example and metric, of many cells at once.

Every metric is a mean of one number an example. Cells of the same test examples are measured together: a call of NumPy
costs as much as the numbers of a cell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.metrics import FURTHER, METRICS, ROLES, OfCell, OfRole, RolePredictions
from w2s_sweep.results.alike import compute_alike
from w2s_sweep.results.examples import Examples


@dataclass(frozen=True, eq=False)
class Batch:
    """Several cells, or several of whatever has scores, of the same test examples."""

    groups: Array
    """[examples] text: the name of each one's group."""
    names: tuple[str, ...]
    """Of the metrics: those of `Row.details`."""
    values: Array
    """[cells, names, examples]: a number for each example, whose mean is the metric; all NaN where it is undefined."""

    @classmethod
    def of(cls, groups: Array, columns: Mapping[str, Array]) -> "Batch":
        """Of the numbers [cells, examples] of each metric."""
        return cls(groups, tuple(columns), undefine(np.stack([*columns.values()], 1)))

    @cached_property
    def means(self) -> list[list[float | None]]:
        """[cells][names] The value of each metric; None where it is undefined."""
        found = self.values.mean(-1)
        plain: Array = found.astype(object)
        plain[np.isnan(found)] = None
        return plain.tolist()


@dataclass(frozen=True, eq=False)
class Measured:
    """What is known of the test examples of one cell."""

    batch: Batch
    place: int
    """In the batch."""

    @property
    def means(self) -> dict[str, float | None]:
        """Name as in `Row.details` -> the value of the metric; None where it is undefined."""
        return dict(zip(self.batch.names, self.batch.means[self.place], strict=True))


def undefine(values: Array) -> Array:
    """Numbers [..., examples]; all NaN where one of them is not finite, as a user's own metric may have them: they have
    no mean, and would spoil what is computed beside them."""
    finite = np.asarray(np.isfinite(values).all(-1, keepdims=True))
    return values if finite.all() else np.where(finite, values, np.nan)


Roles = Mapping[str, Examples]
"""What each role of one cell predicts for the cell's test examples; a supervisor that has none and a ceiling may be
absent."""


def measure(cells: Sequence[Roles]) -> list[Measured]:
    """All of these cells, in their order."""
    return compute_alike(cells, _likeness, _measure_alike)


def _likeness(cell: Roles) -> tuple[object, ...]:
    """Equal for cells that can be measured together."""
    student = cell["student"]
    shapes = ((role, one.probs.shape[1], one.legal is None) for role, one in cell.items())
    return student.digest, id(student.groups), *shapes


def _measure_alike(cells: Sequence[Roles]) -> list[Measured]:
    stages = {role: _Stages.of([cell[role] for cell in cells]) for role in cells[0]}
    columns = {
        f"{name}/{role}": scores[stages[role].places]
        for role in ROLES
        if role in stages
        for name, scores in _of_stages(stages[role].seen).items()
    }
    roles = {role: one.of_cells() for role, one in stages.items()}
    for _, metric in FURTHER.items():
        if isinstance(metric, OfCell) and {*metric.needs} <= {*roles} & {*ROLES}:
            columns |= metric.scores_of_each(roles)
    batch = Batch.of(cells[0]["student"].groups, columns)
    return [Measured(batch, place) for place in range(len(cells))]


@dataclass(frozen=True, eq=False)
class _Stages:
    """The stages that have one role in some cells: each once, however many cells share it."""

    seen: RolePredictions
    """Of each distinct stage."""
    places: Array
    """[cells] Which of these it is."""

    @classmethod
    def of(cls, cells: Sequence[Examples]) -> "_Stages":
        distinct = list({id(one): one for one in cells}.values())  # a stage's examples are read once
        number, first = {id(one): place for place, one in enumerate(distinct)}, distinct[0]
        seen = RolePredictions(
            probs=np.stack([one.probs for one in distinct]),
            truth=first.truth,
            legal=None if first.legal is None else np.array([one.legal for one in distinct]),
            groups=first.groups,
            questions=first.questions,
        )
        return cls(seen, np.array([number[id(one)] for one in cells]))

    def of_cells(self) -> RolePredictions:
        """What each cell is shown."""
        seen = self.seen
        legal = None if seen.legal is None else seen.legal[self.places]
        return replace(seen, probs=seen.probs[self.places], legal=legal)


def _of_stages(seen: RolePredictions) -> dict[str, Array]:
    """[stages, examples] of what depends on one stage alone, by the name of the metric."""
    found: dict[str, Array] = {name: metric.scores_of_each(seen.probs, seen) for name, metric in METRICS.items()}
    further = {name: metric.scores_of_each(seen) for name, metric in FURTHER.items() if isinstance(metric, OfRole)}
    return found | {name: scores for name, scores in further.items() if scores is not None}
