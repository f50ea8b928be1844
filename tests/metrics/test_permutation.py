"""Sign flips of paired differences, and intervals over tasks."""

from fractions import Fraction
from itertools import product
from math import erfc, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_sweep.metrics import over_tasks, sign_flip, smallest_p
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


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_intervals_over_tasks_hold_their_value_and_shrink_with_more_tasks(statistic):
    rng = np.random.default_rng(0)
    few, many = (over_tasks(rng.normal(0.4, 0.2, n).tolist(), statistic) for n in (8, 800))
    for found in (few, many):
        assert found.low < found.value < found.high
    assert many.high - many.low < (few.high - few.low) / 2
    assert over_tasks([0.3], statistic).low is None
    assert over_tasks([], statistic).value is None
    assert over_tasks([0.1, 0.2, 9.0], "median").value == 0.2
