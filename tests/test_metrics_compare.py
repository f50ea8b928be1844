"""Paired tests of two students on the same examples, and Holm's correction."""

from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_sweep.errors import DataError
from w2s_sweep.metrics import MetricName, holm, mcnemar, paired_difference
from w2s_sweep.metrics.compare import _sign_test

Array = np.ndarray[Any, Any]
p_values = st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8)


def certain(right: list[int]) -> Array:
    """Predictions for a truth of all 1 that are right where `right` is 1."""
    return np.stack([1 - np.array(right), np.array(right)], axis=1).astype(np.float32)


def test_mcnemar_counts_only_what_differs():
    truth = np.ones(8, dtype=np.int8)
    found = mcnemar(certain([1, 1, 1, 1, 1, 1, 0, 1]), certain([0, 0, 0, 0, 0, 0, 0, 1]), truth)
    assert (found.first_only, found.second_only) == (6, 0)
    assert found.p == pytest.approx(2 / 2**6)


def test_equal_students_do_not_differ():
    same, truth = certain([1, 0, 1]), np.ones(3, dtype=np.int8)
    assert mcnemar(same, same, truth).p == 1
    found = paired_difference(same, same, truth)
    assert (found.interval.value, found.interval.low, found.interval.high, found.p) == (0, 0, 0, 1)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_the_sign_test_is_the_binomial_one(wins: int, losses: int):
    n = wins + losses
    expected = min(1.0, 2 * sum(comb(n, i) for i in range(min(wins, losses) + 1)) / 2**n)
    assert _sign_test(wins, losses) == pytest.approx(expected)
    assert _sign_test(losses, wins) == _sign_test(wins, losses)


def test_the_sign_test_of_many_examples_neither_overflows_nor_vanishes_early():
    assert _sign_test(5000, 5000) == 1
    assert 0 < _sign_test(100, 900) < 1e-150


@pytest.mark.parametrize("metric", ["accuracy", "auroc"])
def test_a_clear_difference_is_found_and_its_sign_is_second_minus_first(metric: MetricName):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400).astype(np.int8)
    margins = [rng.normal(size=400) + skill * (2 * truth - 1) for skill in (0.2, 1.0)]
    poor, good = (np.stack([-m, m], axis=1).astype(np.float32) for m in margins)
    found, back = paired_difference(poor, good, truth, metric), paired_difference(good, poor, truth, metric)
    assert found.p is not None
    assert found.p == back.p == pytest.approx(2 / 2001)
    assert 0 < found.interval.low < found.interval.value < found.interval.high
    assert back.interval.value == -found.interval.value
    assert mcnemar(poor, good, truth).p < 1e-4


def test_p_values_of_no_difference_are_about_uniform():
    rng = np.random.default_rng(1)
    truth = np.ones(200, dtype=np.int8)
    pairs = [(rng.integers(0, 2, 200).tolist(), rng.integers(0, 2, 200).tolist()) for _ in range(200)]
    found = np.array([paired_difference(certain(a), certain(b), truth, resamples=400).p for a, b in pairs])
    assert 0.01 <= (found < 0.05).mean() <= 0.1
    assert 0.35 <= (found < 0.5).mean() <= 0.65


def test_a_difference_of_undefined_metrics_is_undefined():
    same, truth = certain([1, 0, 1]), np.ones(3, dtype=np.int8)
    found = paired_difference(same, same, truth, "auroc")
    assert (found.interval.value, found.p) == (None, None)


def test_students_on_different_examples_are_refused():
    with pytest.raises(DataError, match="second has 2 rows for 3 examples"):
        mcnemar(certain([1, 0, 1]), certain([1, 0]), np.ones(3, dtype=np.int8))


def test_holm_is_the_textbook_example():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({}) == {}


@settings(deadline=None)
@given(p_values)
def test_holm_keeps_names_and_order_and_never_lowers_a_p_value(given_p: dict[str, float]):
    found = holm(given_p)
    assert list(found) == list(given_p)
    for name, p in given_p.items():
        assert p <= found[name] <= min(1.0, max(p, len(given_p) * p))
        assert all(found[name] <= found[other] for other in given_p if p < given_p[other])
