"""PGR: a ratio of mean gaps, its interval, and when there is none."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_sweep.arrays import Array
from w2s_sweep.metrics import (
    Design,
    Moments,
    cause,
    crossed_interval,
    plain_ratio,
    recover,
    t_quantile,
    undefined_recovery,
)

score = st.floats(0, 1, allow_nan=False)


def experiment(
    gap: float = 0.2, gain: float = 0.1, seeds: int = 3, rows: int = 400, seed: int = 0
) -> tuple[Design, Array]:
    """(design, [rows, 2] gains and gaps): right or wrong answers of three roles, all seeds on one test set."""
    rng = np.random.default_rng(seed)
    levels = 0.6 + np.array([0, gain, gap])[:, None]
    right = [(rng.random(rows) < levels + rng.normal(0, 0.01, (3, 1))).astype(float) for _ in range(seeds)]
    weak, student, ceiling = np.concatenate(right, axis=1)
    return Design.of([np.arange(rows)] * seeds), np.stack([student - weak, ceiling - weak], axis=1)


def test_it_is_the_ratio_of_the_mean_gaps_and_not_the_mean_of_ratios():
    values = np.array([[0.1, 0.2]] * 50 + [[0.1, 0.02]] * 50) + 1e-6 * np.random.default_rng(0).normal(size=(100, 2))
    found = recover(Design.of([np.arange(50)] * 2).moments(values[:50].repeat(2, 0)))
    assert found.pgr.value == pytest.approx(0.5, rel=1e-3)
    both = recover(Design.of([np.arange(50)] * 2).moments(values))
    assert both.moments.mean[0] / both.moments.mean[1] == pytest.approx(0.1 / 0.11, rel=1e-3)


def test_the_interval_holds_exactly_the_ratios_that_a_t_test_does_not_reject():
    """Fieller's set: r such that mean(gain) - r mean(gap) is not told from 0, with its own variance."""
    design, values = experiment()
    found = recover(design.moments(values))
    quantile = t_quantile(0.95, found.moments.freedom)

    def distance(ratio: float) -> float:
        contrast = np.array([1, -ratio])
        variance = contrast @ found.moments.covariance @ contrast
        return abs(contrast @ found.moments.mean) / math.sqrt(variance) - quantile

    assert found.reason == ""
    assert found.pgr.low < found.pgr.value < found.pgr.high
    assert distance(found.pgr.low) == pytest.approx(0, abs=1e-9)
    assert distance(found.pgr.high) == pytest.approx(0, abs=1e-9)
    assert distance((found.pgr.low + found.pgr.value) / 2) < 0 < distance(found.pgr.high + 0.1)


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("gap", [0.0, 0.01, 0.05, 0.2])
def test_there_is_an_interval_only_where_the_gap_is_told_from_0(seeds: int, gap: float):
    for seed in range(20):
        found = recover(experiment_of(gap, seeds, seed))
        assert found.gap == crossed_interval(found.moments.only(1))  # whatever the student is
        assert found.gap.low > 0 or found.reason
        assert found.gap.low <= 0 or found.reason == "" or "student" in found.reason
        assert (found.pgr.value is None) == (found.pgr.low is None) == (found.reason != "")


def experiment_of(gap: float, seeds: int, seed: int, rows: int = 200) -> Moments:
    design, values = experiment(gap, 0.05, seeds, rows, seed)
    return design.moments(values)


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_excess_over_the_ceiling_is_that_of_its_own_column(seeds: int):
    design, values = experiment(gap=0.1, gain=0.2, seeds=seeds)
    found = recover(design.moments(values))
    own = crossed_interval(design.moments(values[:, :1] - values[:, 1:]))
    assert (found.excess.value, found.excess.low, found.excess.high) == pytest.approx((own.value, own.low, own.high))
    assert found.excess.low > 0


def test_no_gap_at_all_is_not_identified_and_says_why():
    design, values = experiment(gap=0.0, rows=200)
    found = recover(design.moments(values))
    assert found.pgr.value is None
    assert cause(found.reason) == "the gap is not told from 0"
    worse = recover(design.moments(np.stack([values[:, 0], values[:, 1] - 0.3], axis=1)))
    assert cause(worse.reason) == "the ceiling is worse than the weak supervisor"


def test_the_ends_do_not_depend_on_the_unit_of_the_metric():
    design, values = experiment()
    one, other = recover(design.moments(values)), recover(design.moments(values * 100))
    assert (other.pgr.low, other.pgr.high) == pytest.approx((one.pgr.low, one.pgr.high))


def test_a_copy_of_the_supervisor_recovers_nothing_and_one_of_the_ceiling_everything():
    design, values = experiment()
    for column, expected in ((np.zeros(len(values)), 0.0), (values[:, 1], 1.0)):
        found = recover(design.moments(np.stack([column, values[:, 1]], axis=1))).pgr
        assert (found.value, found.low, found.high) == pytest.approx((expected, expected, expected), abs=1e-6)


def test_more_examples_and_more_seeds_narrow_the_interval():
    def width(seeds: int, rows: int) -> float:
        found = [recover(experiment_of(0.2, seeds, seed, rows)).pgr for seed in range(10)]
        return float(np.mean([one.high - one.low for one in found]))

    assert width(1, 4000) < width(1, 400) / 2
    assert width(10, 400) < width(3, 400)


def test_a_role_without_the_metric_is_named():
    assert undefined_recovery("weak", "ceiling").reason == "the metric of weak, ceiling is undefined"
    one = recover(Design.of([np.zeros(5)]).moments(np.ones((5, 2))))
    assert "single group" in one.reason


@given(score, score, score)
def test_the_plain_ratio_of_one_model_needs_a_better_ceiling(weak: float, student: float, ceiling: float):
    assert (plain_ratio(weak, student, ceiling) is None) == (ceiling <= weak)


def test_the_plain_ratio_is_0_at_the_supervisor_and_1_at_the_ceiling():
    assert [plain_ratio(0.6, s, 0.8) for s in (0.6, 0.8, 0.75, 0.5)] == pytest.approx([0, 1, 0.75, -0.5])
    assert plain_ratio(None, 0.5, 0.6) is None
