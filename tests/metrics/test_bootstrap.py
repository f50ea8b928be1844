"""PGR, its paired bootstrap over examples, and intervals over seeds."""

from dataclasses import dataclass, fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_sweep.arrays import Array
from w2s_sweep.metrics import METRICS, Interval, pgr, t_interval, weights
from w2s_sweep.metrics.seeds import t_quantile
from w2s_sweep.results.examples import Examples
from w2s_sweep.results.score import Scorer

score = st.floats(0, 1, allow_nan=False)
each_metric = pytest.mark.parametrize("metric", list(METRICS))


def noisy(truth: Array, skill: float, seed: int, classes: int = 2) -> Array:
    logits = np.random.default_rng(seed).normal(size=(len(truth), classes))
    logits[np.arange(len(truth)), truth] += skill
    probs = np.exp(logits)
    return (probs / probs.sum(1, keepdims=True)).astype(np.float32)


def roles(n: int, seed: int = 0, classes: int = 2) -> tuple[Array, Array, Array, Array]:
    truth = np.random.default_rng(seed).integers(0, classes, n).astype(np.int8)
    weak, student, ceiling = (noisy(truth, skill, 10 * seed + i, classes) for i, skill in enumerate((0.5, 1.2, 2.5)))
    return weak, student, ceiling, truth


@dataclass(frozen=True)
class Cell:
    """The numbers of a cell."""

    weak: Interval
    student: Interval
    ceiling: Interval
    pgr: Interval
    pgr_undefined: str
    undefined_resamples: int


def cell(weak: Array, student: Array, ceiling: Array, truth: Array, metric: str = "accuracy") -> Cell:
    """What the results of a sweep have for a cell with these predictions."""
    ids = np.array([f"{i:05d}" for i in range(len(truth))], dtype=object)
    probs = {"weak": weak, "student": student, "ceiling": ceiling}
    sets = {role: Examples(ids=ids, truth=truth, probs=found, digest="") for role, found in probs.items()}
    scores = Scorer().score({role: role for role in sets}, sets, metric)
    return Cell(**{field.name: scores[field.name] for field in fields(Cell)})


@settings(deadline=None)
@given(score, score, score)
def test_pgr_is_a_number_or_a_reason(weak: float, student: float, ceiling: float):
    found = pgr(weak, student, ceiling)
    assert (found.value is None) == (found.reason is not None) == (ceiling <= weak)


def test_pgr_is_0_at_the_supervisor_and_1_at_the_ceiling():
    assert pgr(0.6, 0.6, 0.8).value == 0
    assert pgr(0.6, 0.8, 0.8).value == 1
    assert pgr(0.6, 0.75, 0.8).value == pytest.approx(0.75)
    assert pgr(0.6, 0.5, 0.8).value == pytest.approx(-0.5)


def test_undefined_pgr_says_why():
    assert "0.7000" in (pgr(0.7, 0.8, 0.7).reason or "")
    assert pgr(None, 0.8, None).reason == "the metric of weak, ceiling is undefined"


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 5))
def test_every_resample_is_as_large_as_the_test_set_and_repeats(examples: int, resamples: int, seed: int):
    drawn = weights(examples, resamples, seed)
    assert drawn.shape == (examples, resamples)
    assert (drawn.sum(0) == examples).all()
    weights.cache_clear()
    assert np.array_equal(drawn, weights(examples, resamples, seed))


@each_metric
@given(st.integers(1, 25), st.integers(0, 1000), st.sampled_from([2, 3]))
@settings(max_examples=25, deadline=None)
def test_a_resample_is_the_metric_of_the_repeated_examples(metric: str, n: int, seed: int, classes: int):
    _, student, _, truth = roles(n, seed, classes)
    student = np.round(student * 4 + 0.5) / 4  # ties
    drawn = weights(n, 6, seed)
    found = METRICS[metric].resample(student, truth, drawn)
    for b in range(6):
        rows = np.repeat(np.arange(n), drawn[:, b].astype(int))
        expected = METRICS[metric].value(student[rows], truth[rows])
        assert found[b] == pytest.approx(np.nan if expected is None else expected, nan_ok=True)


@each_metric
def test_a_student_that_copies_its_supervisor_recovers_nothing(metric: str):
    weak, _, ceiling, truth = roles(300)
    found = cell(weak, weak, ceiling, truth, metric)
    assert found.pgr == Interval(0.0, 0.0, 0.0)
    assert found.weak == found.student


@each_metric
def test_a_student_as_good_as_the_ceiling_recovers_everything(metric: str):
    weak, _, ceiling, truth = roles(300)
    assert cell(weak, ceiling, ceiling, truth, metric).pgr == Interval(1.0, 1.0, 1.0)


@each_metric
@pytest.mark.parametrize("seed", range(5))
def test_intervals_hold_the_estimate_and_narrow_with_more_examples(metric: str, seed: int):
    widths = []
    for n in (100, 1600):
        found = cell(*roles(n, seed), metric=metric)
        for interval in (found.weak, found.student, found.ceiling, found.pgr):
            assert interval.low <= interval.value <= interval.high
        widths.append(found.student.high - found.student.low)
    assert widths[1] < widths[0] / 2


def test_the_accuracy_interval_is_that_of_the_binomial():
    _, student, _, truth = roles(1000)
    found = cell(student, student, student, truth).student
    half = 1.96 * np.sqrt(found.value * (1 - found.value) / 1000)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.08)


@each_metric
def test_an_undefined_pgr_has_a_reason_and_no_interval(metric: str):
    weak, student, ceiling, truth = roles(200)
    found = cell(ceiling, student, weak, truth, metric)
    assert found.pgr == Interval(None)
    assert "not better" in found.pgr_undefined
    assert found.undefined_resamples > 0.95 * METRICS[metric].resamples


def test_resamples_without_a_pgr_are_counted_and_left_out():
    weak, student, _, truth = roles(60)
    close = weak.copy()
    close[np.flatnonzero(weak.argmax(1) != truth)[0]] = np.eye(2)[truth[weak.argmax(1) != truth][0]]
    found = cell(weak, student, close, truth)  # the ceiling is right on one example more
    assert found.pgr_undefined == ""
    assert found.undefined_resamples / 2000 == pytest.approx((1 - 1 / 60) ** 60, abs=0.04)
    assert found.pgr.low is not None


def test_one_class_leaves_auroc_undefined_and_accuracy_defined():
    weak, student, ceiling, truth = roles(50)
    ones = np.ones_like(truth)
    found = cell(weak, student, ceiling, ones, "auroc")
    assert found.weak == Interval(None)
    assert found.pgr_undefined == "the metric of weak, student, ceiling is undefined"
    assert found.undefined_resamples == METRICS["auroc"].resamples
    assert cell(weak, student, ceiling, ones).weak.low is not None


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [
        (1, 12.7062),
        (2, 4.30265),
        (3, 3.18245),
        (4, 2.77645),
        (5, 2.57058),
        (10, 2.22814),
        (30, 2.04227),
        (500, 1.96472),
    ],
)
def test_t_quantiles_are_those_of_the_tables(freedom: int, quantile: float):
    assert t_quantile(0.975, freedom) == pytest.approx(quantile, rel=1e-5)
    assert t_quantile(0.5, freedom) == pytest.approx(0, abs=1e-6)


def test_one_seed_has_no_interval():
    assert t_interval([0.4]) == Interval(0.4)
    assert t_interval([]) == Interval(None)


def test_the_t_interval_of_five_seeds():
    found = t_interval([0.1, 0.2, 0.3, 0.4, 0.5])
    assert found.value == pytest.approx(0.3)
    assert found.high - found.low == pytest.approx(2 * 2.77645 * np.sqrt(0.025 / 5), rel=1e-5)


@settings(deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=2, max_size=8))
def test_intervals_over_seeds_hold_the_mean_and_stay_put_for_equal_seeds(values: list[float]):
    found = t_interval(values)
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9
    same = t_interval([values[0]] * 3)
    assert same.high - same.low == pytest.approx(0, abs=1e-9)
