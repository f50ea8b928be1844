"""Two students of one cell each, example by example: what can be compared, and by how much they differ."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.metrics import METRICS, Moments
from w2s_sweep.results.estimate import Designs
from w2s_sweep.results.examples import Examples
from w2s_sweep.results.reader import Reader
from w2s_sweep.results.records import Row

Pair = tuple[Row, Row]
"""A finished cell of the baseline and one of another setting, of the same task, models and seed."""


@dataclass
class Students:
    """The students of finished cells."""

    reader: Reader
    designs: Designs
    scores: dict[tuple[str, str, str], Array] = field(default_factory=dict[tuple[str, str, str], Array])
    """(stage, which examples, metric) -> what each example adds."""

    def comparable(self, first: Row, second: Row) -> bool:
        """Whether both have the metric on the same examples."""
        scored = first.student.value is not None and second.student.value is not None
        return scored and self._examples(first).digest == self._examples(second).digest

    def difference(self, pairs: Sequence[Pair]) -> Moments:
        """The mean difference of the students' metric, second minus first, over seeds and groups of test examples."""
        changes = np.concatenate([self._scores(second) - self._scores(first) for first, second in pairs])
        groups = [self._examples(first).groups for first, _ in pairs]
        return self.designs.of(groups).moments(changes[:, None])

    def _scores(self, row: Row) -> Array:
        examples = self._examples(row)
        about = row.student_key, examples.digest, row.metric
        if about not in self.scores:
            found = METRICS[row.metric].scores_of(examples)
            assert found is not None  # the metric has a value, or the pair would not be comparable
            self.scores[about] = found
        return self.scores[about]

    def _examples(self, row: Row) -> Examples:
        found = self.reader.beside(row.student_key, row.weak_key)
        assert isinstance(found, Examples)  # the row is finished
        return found


def change(first: Row, second: Row) -> float:
    """second - first of the students' metric; both have one."""
    assert first.student.value is not None
    assert second.student.value is not None
    return second.student.value - first.student.value
