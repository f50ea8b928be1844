"""Sign flips of paired differences, and intervals over tasks."""

from fractions import Fraction
from itertools import product
from math import erfc, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_sweep.metrics import Interval, median_interval, sign_flip, smallest_p, t_interval
from w2s_sweep.metrics.permutation import EXACT, FLIPS

differences = st.lists(st.integers(-20, 20), min_size=2, max_size=9)


@settings(deadline=None)
@given(differences)
def test_p_is_the_share_of_all_patterns_of_signs(found: list[int]):
    sums = [abs(sum(s * v for s, v in zip(signs, found, strict=True))) for signs in product((1, -1), repeat=len(found))]
    assert sign_flip(found) == Fraction(sum(s >= abs(sum(found)) for s in sums), len(sums))
    assert sign_flip([-v / 7 for v in found]) == sign_flip([v / 7 for v in found])


@pytest.mark.parametrize("count", [2, 3, 5, EXACT])
def test_few_differences_cannot_give_a_small_p(count):
    assert sign_flip([0.01] * count) == smallest_p(count) == 2.0 ** (1 - count)
    assert sign_flip([0.0] * count) == 1


def test_three_seeds_give_a_quarter_at_best_and_one_gives_nothing():
    assert sign_flip([0.3, 0.2, 0.1]) == smallest_p(3) == 0.25
    assert sign_flip([0.1]) is None
    assert sign_flip([]) is None


def test_many_differences_are_sampled_and_agree_with_the_normal_limit():
    values = np.random.default_rng(0).normal(0.25, 1, 60)
    z = values.sum() / np.sqrt((values**2).sum())
    assert sign_flip(values.tolist()) == pytest.approx(erfc(abs(z) / sqrt(2)), rel=0.1)
    assert sign_flip([1.0] * 60) == smallest_p(60) == 1 / (FLIPS + 1)


@pytest.mark.parametrize(("tasks", "places"), [(6, (0, 5)), (10, (1, 8)), (20, (5, 14))])
def test_the_interval_of_a_median_is_between_the_ordered_values_of_the_tables(tasks: int, places: tuple[int, int]):
    values = np.random.default_rng(0).normal(size=tasks)
    found, ordered = median_interval(values.tolist()), np.sort(values)
    assert (found.low, found.high) == (ordered[places[0]], ordered[places[1]])
    assert found.value == np.median(values)


def test_few_tasks_have_no_interval_of_their_median():
    assert median_interval([0.1, 0.2, 0.3, 0.4, 9.0]) == Interval(0.3)
    assert median_interval([0.3]) == Interval(0.3)
    assert median_interval([]) == Interval(None)


def test_the_interval_of_a_median_holds_it_as_often_as_it_says():
    rng = np.random.default_rng(0)
    found = [median_interval(rng.standard_cauchy(12).tolist()) for _ in range(2000)]
    assert 0.94 <= np.mean([one.low <= 0 <= one.high for one in found]) <= 0.98


def test_the_t_interval_of_five_values():
    found = t_interval([0.1, 0.2, 0.3, 0.4, 0.5])
    assert found.value == pytest.approx(0.3)
    assert found.high - found.low == pytest.approx(2 * 2.77645 * np.sqrt(0.025 / 5), rel=1e-5)
    assert t_interval([0.4]) == Interval(0.4)
    assert t_interval([]) == Interval(None)
