"""Paired tests of two students on the same examples, and Holm's correction."""

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_sweep.arrays import Array
from w2s_sweep.metrics import METRICS, auroc, holm, weights
from w2s_sweep.metrics.accuracy import mcnemar

AUROC = METRICS["auroc"]
p_values = st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8)
changes = st.lists(st.tuples(st.integers(-1, 1), st.integers(0, 5)), min_size=1, max_size=10)


def distinct(found: list[int]) -> tuple[Array, Array]:
    """Changes of as many different examples."""
    return np.array(found), np.arange(len(found))


def scores(skill: float, truth: Array, seed: int) -> Array:
    """Predictions of a student; a higher skill separates the classes better."""
    margin = np.random.default_rng(seed).normal(size=len(truth)) + skill * (2 * truth - 1)
    return np.stack([1 - margin, margin], axis=1).astype(np.float32)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 5))
def test_mcnemar_of_different_examples_is_the_binomial_test(wins: int, losses: int, ties: int):
    n = wins + losses
    expected = min(1.0, 2 * sum(comb(n, i) for i in range(min(wins, losses) + 1)) / 2**n)
    assert mcnemar(*distinct([1] * wins + [-1] * losses + [0] * ties + [0])) == pytest.approx(expected)


@settings(deadline=None, max_examples=60)
@given(changes)
def test_mcnemar_flips_an_example_of_several_seeds_as_a_whole(found: list[tuple[int, int]]):
    """Against all patterns of signs of the examples' sums, one by one."""
    values, examples = np.array([c for c, _ in found]), np.array([e for _, e in found])
    sums = [abs(int(values[examples == e].sum())) for e in set(examples.tolist())]
    patterns = [
        abs(sum(s * v for s, v in zip(signs, sums, strict=True))) for signs in product((1, -1), repeat=len(sums))
    ]
    expected = sum(total >= abs(values.sum()) for total in patterns) / len(patterns)
    assert mcnemar(values, examples) == pytest.approx(expected)


def test_repeating_an_example_is_no_evidence():
    one, index = distinct([1] * 6 + [-1])
    assert mcnemar(np.tile(one, 5), np.tile(index, 5)) == pytest.approx(mcnemar(one, index))
    assert mcnemar(*distinct([1] * 30 + [-1] * 5)) < mcnemar(one, index) / 100


def test_mcnemar_of_many_examples_is_neither_0_nor_slow_to_vanish():
    assert mcnemar(*distinct([1, -1] * 5000)) == pytest.approx(1)
    assert 0 < mcnemar(*distinct([1] * 900 + [-1] * 100)) < 1e-150


def test_p_values_of_no_difference_are_about_uniform():
    rng = np.random.default_rng(1)
    found = np.array([mcnemar(*distinct(rng.integers(-1, 2, 400).tolist())) for _ in range(300)])
    assert 0.01 <= (found < 0.05).mean() <= 0.08
    assert 0.35 <= (found < 0.5).mean() <= 0.6


@pytest.mark.parametrize("ties", [False, True])
def test_influences_sum_to_nothing_and_have_the_spread_of_the_bootstrap(ties: bool):
    truth = np.random.default_rng(0).integers(0, 2, 300).astype(np.int8)
    probs = scores(0.6, truth, 1)
    probs = np.round(probs, 0 if ties else 6)
    parts = AUROC.influence(probs, truth)
    assert parts is not None
    assert parts.sum() == pytest.approx(0, abs=1e-9)
    spread = AUROC.resample(probs, truth, weights(300, 1000, 0)).std()
    assert np.sqrt((parts**2).sum()) == pytest.approx(spread, rel=0.06)


def test_an_influence_is_what_leaving_the_example_out_changes():
    truth = np.random.default_rng(0).integers(0, 2, 80).astype(np.int8)
    probs = scores(0.6, truth, 1)
    whole, parts = auroc(probs, truth), AUROC.influence(probs, truth)
    assert whole is not None
    assert parts is not None
    for i in (0, 1, 2, 40):
        left = auroc(np.delete(probs, i, 0), np.delete(truth, i))
        assert whole - left == pytest.approx(parts[i], rel=0.1, abs=1e-4)
    assert AUROC.influence(probs, np.ones_like(truth)) is None


def test_delong_finds_a_difference_and_counts_repeated_examples_once():
    truth = np.random.default_rng(0).integers(0, 2, 400).astype(np.int8)
    poor, good, same = scores(0.3, truth, 1), scores(1.0, truth, 2), scores(0.3, truth, 3)

    def tested(second: Array, copies: int) -> float:
        change = AUROC.influence(second, truth) - AUROC.influence(poor, truth)
        index = np.tile(np.arange(len(truth)), copies)
        difference = auroc(second, truth) - auroc(poor, truth)
        return AUROC.p_value(difference, np.tile(change, copies), index, copies)

    assert tested(good, 1) < 1e-4
    assert tested(same, 1) > 0.05
    assert tested(same, 4) == pytest.approx(tested(same, 1))
    assert tested(poor, 1) == 1


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
