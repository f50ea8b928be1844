"""What stages were worth on the way: the evaluations of many trainings, measured together.

Supervisors and ceilings count with what they predict in the end, on the rows that were evaluated.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.metrics import FURTHER, METRICS, OfCell, RolePredictions
from w2s_sweep.predictions import Evaluated
from w2s_sweep.results.alike import compute_alike
from w2s_sweep.results.examples import Examples
from w2s_sweep.results.reader import Reader
from w2s_sweep.results.records import Row
from w2s_sweep.results.score import Batch, Measured, undefine

SCORES = ("accuracy", "auroc")
"""Metrics of every point."""
AGREEMENT = "agreement"
"""What every point of a student has too."""
OTHERS = ("weak", "ceiling")
"""Roles that a student is compared with."""


@dataclass(frozen=True, eq=False)
class Training:
    """What is known of the training of one seed's stage."""

    row: Row
    curve: Sequence[Evaluated]
    measured: Sequence[Measured]
    """After each evaluation: `SCORES` and the cell's metric, of students the agreements too."""


@dataclass(frozen=True, eq=False)
class _One:
    """One evaluation of a training."""

    ids: Array
    probs: Array
    """[rows, classes]"""
    final: Examples
    """What the supervisor of a student, or the stage itself, predicts for these rows in the end."""


@dataclass
class Evaluations:
    """Measures evaluations; what stages predict in the end is looked up once for all that share it."""

    final: Reader
    parts: dict[tuple[str, int], Examples] = field(default_factory=dict[tuple[str, int], Examples])
    """(stage, which rows) -> its final predictions on these rows."""
    scores: dict[tuple[str, int, str], Array] = field(default_factory=dict[tuple[str, int, str], Array])
    """(stage, which rows, metric) -> what each row adds in the end; NaN where the metric is undefined."""

    def measure(self, role: str, trainings: Sequence[tuple[Row, Sequence[Evaluated]]]) -> list[Training]:
        """Trainings of one role, of cells that have one metric."""
        ones = [one for row, curve in trainings for one in self._with_final(role, row, curve)]
        measured = compute_alike(
            ones,
            lambda one: (id(one.ids), one.final.digest, one.probs.shape[1]),
            lambda same: _measure_alike(role, trainings[0][0].metric, same),
        )
        found = iter(measured)
        return [Training(row, curve, list(islice(found, len(curve)))) for row, curve in trainings]

    def final_scores(self, metric: str, key: str, ids: Array) -> Array:
        """[rows] What each row adds to a stage's metric when its training has ended; NaN where it is undefined."""
        about = (key, id(ids), metric)
        if about not in self.scores:
            found = METRICS[metric].scores_of(self._on(key, ids))
            self.scores[about] = np.full(len(ids), np.nan) if found is None else undefine(found)
        return self.scores[about]

    def _with_final(self, role: str, row: Row, curve: Sequence[Evaluated]) -> list[_One]:
        key = row.weak_key if role == "student" else getattr(row, f"{role}_key")
        return [_One(one.ids, one.probs, self._on(key, one.ids)) for one in curve]

    def _on(self, key: str, ids: Array) -> Examples:
        """The final predictions of a finished stage on the rows of an evaluation, in its order."""
        if (key, id(ids)) not in self.parts:
            found = self.final.examples(key)
            assert isinstance(found, Examples), "the cell is done"
            self.parts[key, id(ids)] = self.final.parts.on(found, ids)
        return self.parts[key, id(ids)]


def _measure_alike(role: str, metric: str, ones: Sequence[_One]) -> list[Measured]:
    """Evaluations of the same rows with the same truth."""
    final, probs = ones[0].final, np.stack([one.probs for one in ones])
    columns: dict[str, Array] = {
        f"{name}/{role}": METRICS[name].scores_of_each(probs, final) for name in dict.fromkeys((*SCORES, metric))
    }
    if role == "student":
        weak = np.stack([one.final.probs for one in ones])
        roles = {
            name: RolePredictions(probs=said, truth=final.truth) for name, said in (("student", probs), ("weak", weak))
        }
        agreement = FURTHER[AGREEMENT]
        assert isinstance(agreement, OfCell)
        columns |= agreement.scores_of_each(roles)
    batch = Batch.of(final.groups, columns)
    return [Measured(batch, place) for place in range(len(ones))]
