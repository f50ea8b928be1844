"""Two students of one cell each, example by example: what can be compared, the difference, the test over examples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.metrics import METRICS, Interval, percentile_interval
from w2s_sweep.results.examples import Examples
from w2s_sweep.results.records import PairedTest, Row
from w2s_sweep.results.score import Scorer, StageScores

Pair = tuple[Row, Row]
"""A finished cell of the baseline and one of another setting, of the same task, models and seed."""


@dataclass
class Students:
    """The students of finished cells; everything about one of them is computed once."""

    read: Callable[[str], "Examples | str"]
    """Stage key -> its test examples."""
    scorer: Scorer
    codes: dict[tuple[str, ...], tuple[Array, int]] = field(default_factory=dict[tuple[str, ...], tuple[Array, int]])
    """Digests of test sets -> a whole number for each of their rows, the same for the same example; how many."""

    def comparable(self, first: Row, second: Row) -> bool:
        """Whether both have the metric on the same examples."""
        known = first.student.value is not None and second.student.value is not None
        return known and self._examples(first).digest == self._examples(second).digest

    def difference(self, first: Row, second: Row) -> Interval:
        """Metric of the second's student minus the first's, with the paired bootstrap interval over test examples."""
        a, b = (self._scores(row).samples[row.metric] for row in (first, second))
        return percentile_interval(change(first, second), b - a)

    def by_example(self, pairs: Sequence[Pair]) -> PairedTest:
        """The metric's paired test over the pooled test examples of all pairs."""
        metric = METRICS[pairs[0][0].metric]
        changes = np.concatenate([self._change(first, second) for first, second in pairs])
        examples, count = self._pool([first for first, _ in pairs])
        mean = float(np.mean([change(first, second) for first, second in pairs]))
        return PairedTest(metric.test, count, metric.p_value(mean, changes, examples, len(pairs)))

    def _change(self, first: Row, second: Row) -> Array:
        a, b = (self._scores(row).influence(row.metric) for row in (first, second))
        assert a is not None
        assert b is not None  # the metric has a value, or the pair would not be comparable
        return b - a

    def _pool(self, rows: Sequence[Row]) -> tuple[Array, int]:
        """Numbers of the examples of all rows, one test set after another; tasks share no example."""
        tasks: dict[str, list[Row]] = {}
        for row in rows:
            tasks.setdefault(row.dataset, []).append(row)
        parts: dict[int, Array] = {}
        total = 0
        for found in tasks.values():
            codes, count = self._of_task(found)
            ends = np.cumsum([len(self._examples(row).ids) for row in found])[:-1]
            parts |= {id(row): part + total for row, part in zip(found, np.split(codes, ends), strict=True)}
            total += count
        return np.concatenate([parts[id(row)] for row in rows]), total

    def _of_task(self, rows: Sequence[Row]) -> tuple[Array, int]:
        sets = [self._examples(row) for row in rows]
        name = tuple(examples.digest for examples in sets)
        if name not in self.codes:
            ids, codes = np.unique(np.concatenate([examples.ids.astype(str) for examples in sets]), return_inverse=True)
            self.codes[name] = codes, len(ids)
        return self.codes[name]

    def _examples(self, row: Row) -> Examples:
        found = self.read(row.student_key)
        assert isinstance(found, Examples)  # the row is finished
        return found

    def _scores(self, row: Row) -> StageScores:
        return self.scorer.score_stage(row.student_key, self._examples(row))


def change(first: Row, second: Row) -> float:
    """second - first of the students' metric; both have one."""
    assert first.student.value is not None
    assert second.student.value is not None
    return second.student.value - first.student.value
