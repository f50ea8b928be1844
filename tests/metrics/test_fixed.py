"""PGR against fixed baselines: Welch's and Fieller's intervals of independent runs."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind

from w2s_sweep.metrics.fixed import Runs, difference, recover_fixed
from w2s_sweep.metrics.gap import cause
from w2s_sweep.metrics.interval import t_quantile


def runs(mean: float, seeds: int, rng: np.random.Generator, spread: float = 0.01) -> Runs:
    return Runs.of([float(one) for one in mean + spread * rng.normal(size=seeds)])


def test_differences_are_those_of_welch():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=4), rng.normal(1, 3, size=7)
    known = ttest_ind(one, other, equal_var=False)
    found = difference(Runs.of(list(one)), Runs.of(list(other)))
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(known.confidence_interval()))
    assert found.p == pytest.approx(known.pvalue)


def test_the_interval_holds_exactly_the_ratios_that_are_not_rejected():
    weak, student, ceiling = (Runs(mean, 5, error) for mean, error in ((0.6, 0.004), (0.7, 0.006), (0.8, 0.003)))
    found = recover_fixed(student, weak, ceiling).pgr
    quantile = t_quantile(0.95, 4)  # Satterthwaite's are more, the student has five seeds

    def distance(r: float) -> float:
        """Of student - weak - r (ceiling - weak), which holds the supervisor's runs once."""
        variance = student.variance + (1 - r) ** 2 * weak.variance + r**2 * ceiling.variance
        return abs(0.1 - r * 0.2) / math.sqrt(variance) - quantile

    assert found.value == pytest.approx(0.5)
    assert [distance(found.low), distance(found.high)] == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.parametrize("seeds", [(2, 5), (3, 5), (5, 5), (2, 20)])
def test_it_covers_the_truth_however_few_seeds_the_student_has(seeds):
    """The benchmark has more trials; .94 less three errors of the 450 here."""
    few, many = seeds
    hits = []
    for pgr in (0.0, 0.5, 1.0):
        rng = np.random.default_rng(1)
        for _ in range(150):
            found = recover_fixed(runs(0.6 + 0.2 * pgr, few, rng), runs(0.6, many, rng), runs(0.8, many, rng)).pgr
            hits.append(found.low is not None and found.low <= pgr <= found.high)
    assert np.mean(hits) > 0.94 - 3 * math.sqrt(0.94 * 0.06 / len(hits))


def test_equal_scores_do_not_differ_however_many_they_are():
    for score in (0.7, 0.61, 1 / 3):
        one, other = Runs.of([score] * 2), Runs.of([score] * 3)
        assert (one.mean, one.error, other.error) == (score, 0, 0)
        assert difference(one, other).p == 1


def test_no_gap_is_not_identified_and_a_single_run_has_no_interval():
    weak, ceiling = Runs.of([0.6, 0.62, 0.58]), Runs.of([0.61, 0.6, 0.63])
    assert cause(recover_fixed(Runs.of([0.6, 0.61]), weak, ceiling).reason) == "the gap is not told from 0"
    assert cause(recover_fixed(Runs.of([0.6]), weak, ceiling).reason) == "the gap is not told from 0"
    point = recover_fixed(Runs.of([0.7]), weak, Runs.of([0.8, 0.81])).pgr
    assert (point.value, point.low) == (pytest.approx(0.1 / 0.205), None)
    assert difference(Runs.of([0.7]), weak).p is None
    assert "not above" in recover_fixed(Runs.of([0.7]), weak, Runs.of([0.5])).reason
