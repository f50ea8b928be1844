"""The crossed design: equal to sums written out by hand, and blind to what must not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_sweep.arrays import Array
from w2s_sweep.metrics import Design, Moments, crossed_interval, crossed_p, t_quantile


def dealt(seeds: int, seed: int = 0, size: int = 3, rows: int = 60) -> tuple[list[Array], Array]:
    """(names of the groups of each seed's rows, values [rows of all seeds, 2]); seeds share some of the groups."""
    rng = np.random.default_rng(seed)
    names = [np.array([f"g{i // size}" for i in rng.choice(4 * rows, rows, replace=False)]) for _ in range(seeds)]
    return names, rng.normal(size=(seeds * rows, 2)) + rng.normal(size=(seeds, 1, 2)).repeat(rows, 1).reshape(-1, 2)


def positive(matrix: Array) -> Array:
    """The nearest matrix without negative eigenvalues, of a symmetric 2 x 2 one."""
    (a, b), (_, c) = matrix
    half, root = (a + c) / 2, np.hypot((a - c) / 2, b)
    if half - root >= 0:
        return matrix
    vector = np.array([b, half + root - a])
    return max(0.0, half + root) * np.outer(vector, vector) / (vector @ vector)


def by_hand(names: list[Array], values: Array) -> tuple[Array, Array, float]:
    """(means, covariance, freedom) with a loop over groups and seeds, for seeds with as many rows each."""
    parts = np.split(values, len(names))
    mean = np.mean([part.mean(0) for part in parts], axis=0)
    rows = len(values)
    found = sorted({name for one in names for name in one.tolist()})
    within = [
        [(part[one == name] - mean).sum(0) / rows for one, part in zip(names, parts, strict=True)] for name in found
    ]
    of_groups = sum(np.outer(sum(one), sum(one)) for one in within) * len(found) / (len(found) - 1)
    both = sum(np.outer(g, g) for one in within for g in one)
    of_runs = np.cov(np.array([part.mean(0) for part in parts]).T) / len(names)
    covariance = both + sum(positive(part - both) for part in (of_groups, of_runs))
    shares = [np.trace(of_groups) / np.trace(covariance), np.trace(of_runs) / np.trace(covariance)]
    return mean, covariance, 1 / (shares[0] ** 2 / (len(found) - 1) + shares[1] ** 2 / (len(names) - 1))


@pytest.mark.parametrize("seed", range(4))
def test_mean_covariance_and_freedom_are_those_of_sums_over_groups_and_seeds(seed: int):
    names, values = dealt(3, seed)
    found = Design.of(names).moments(values)
    mean, covariance, freedom = by_hand(names, values)
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.covariance, covariance)
    assert found.freedom == pytest.approx(freedom)
    assert (found.seeds, found.groups) == (3, len({name for one in names for name in one.tolist()}))


def same(first: Moments, second: Moments) -> None:
    np.testing.assert_allclose(first.mean, second.mean, atol=1e-12)
    np.testing.assert_allclose(first.covariance, second.covariance, atol=1e-12)
    assert first.freedom == pytest.approx(second.freedom)


@pytest.mark.slow
@given(st.integers(0, 50), st.randoms(use_true_random=False))
def test_the_order_of_seeds_and_rows_and_the_names_of_groups_do_not_matter(seed: int, draw):
    names, values = dealt(3, seed)
    parts = np.split(values, 3)
    order = draw.sample(range(3), 3)
    rows = [np.array(draw.sample(range(60), 60)) for _ in order]
    mixed = [names[s][r] for s, r in zip(order, rows, strict=True)]
    again = Design.of([np.char.add("other ", one) for one in mixed])
    moved = np.concatenate([parts[s][r] for s, r in zip(order, rows, strict=True)])
    same(Design.of(names).moments(values), again.moments(moved))


def test_groups_of_one_are_examples_and_one_seed_has_the_error_of_a_mean():
    values = np.random.default_rng(0).normal(size=(200, 1))
    found = Design.of([np.arange(200)]).moments(values)
    assert found.of_runs is None
    assert found.covariance[0, 0] == pytest.approx(values.var(ddof=1) / 200)
    assert found.freedom == pytest.approx(199)


def test_one_group_of_copies_counts_once():
    values = np.random.default_rng(0).normal(size=(50, 1))
    one = Design.of([np.arange(50)]).moments(values)
    copied = Design.of([np.arange(50).repeat(7)]).moments(values.repeat(7, 0))
    assert copied.covariance[0, 0] == pytest.approx(one.covariance[0, 0])


def test_seeds_of_other_test_examples_are_as_many_independent_means():
    """Nothing is shared, so what both parts count is all that the groups know, and the runs remain."""
    values = np.random.default_rng(1).normal(size=(300, 1)) + np.repeat([0.0, 3.0, 5.0], 100)[:, None]
    found = Design.of([np.arange(100) + 1000 * s for s in range(3)]).moments(values)
    means = values.reshape(3, 100).mean(1)
    assert found.covariance[0, 0] >= means.var(ddof=1) / 3 * 0.999
    assert found.freedom < 4


def test_every_seed_counts_the_same_however_many_examples_it_has():
    values = np.concatenate([np.zeros((10, 1)), np.ones((90, 1))])
    found = Design.of([np.arange(10), np.arange(90)]).moments(values)
    assert found.mean[0] == pytest.approx(0.5)


def test_a_single_group_says_nothing_of_its_spread():
    found = Design.of([np.zeros(9)]).moments(np.arange(9.0)[:, None])
    assert crossed_interval(found).low is None
    assert crossed_p(found) is None


@settings(deadline=None)
@given(st.integers(2, 5), st.integers(0, 100))
def test_covariances_are_never_indefinite_nor_smaller_than_their_parts(seeds: int, seed: int):
    names, values = dealt(seeds, seed, size=1, rows=8)
    found = Design.of(names).moments(values)
    assert np.linalg.eigvalsh(found.covariance)[0] > -1e-12
    for part in (found.of_groups, found.of_runs):
        assert np.linalg.eigvalsh(found.covariance - part)[0] > -1e-12
    assert found.freedom >= 1


def test_columns_taken_out_are_those_of_a_design_of_their_own():
    names, values = dealt(3)
    design = Design.of(names)
    same(design.moments(values).only(1), design.moments(values[:, 1:]))


def test_interval_and_p_of_a_mean_agree_and_an_interval_stays_within_its_bounds():
    values = np.random.default_rng(3).normal(0.1, 1, (400, 1))
    found = Design.of([np.arange(400)]).moments(values)
    ends = crossed_interval(found)
    assert (crossed_p(found) <= 0.05) == (ends.low > 0 or ends.high < 0)
    assert ends.high - ends.low == pytest.approx(2 * t_quantile(0.95, 399) * values.std(ddof=1) / 20)
    assert crossed_interval(found, (0.09, 0.12)).low == 0.09
    assert crossed_p(Design.of([np.arange(4)]).moments(np.zeros((4, 1)))) == 1


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.7062), (2, 4.30265), (4, 2.77645), (30, 2.04227), (2.5, 3.558)]
)
def test_t_quantiles_are_those_of_the_tables(freedom: float, quantile: float):
    assert t_quantile(0.95, freedom) == pytest.approx(quantile, rel=5e-3)


def test_a_set_that_is_not_finite_changes_no_other_set():
    names, values = dealt(2)
    good = Design.of(names).moments(values[None])
    bad = Moments(*(np.full_like(part, np.nan) for part in (good.mean, good.of_groups, good.of_runs, good.both)), 2, 4)
    parts = [np.concatenate([getattr(one, name) for one in (good, bad)]) for name in ("mean", "of_groups", "of_runs")]
    both = Moments(*parts, np.concatenate([good.both, bad.both]), good.seeds, good.groups)
    np.testing.assert_array_equal(both.difference().covariance[0], good.difference().covariance[0])


def test_freedom_is_finite_where_groups_and_runs_cancel():
    """Every group is as much above the mean in one seed as it is below it in the other."""
    values = np.array([1.0, -1.0, 2.0, -2.0])
    found = Design.of([np.arange(4)] * 2).moments(np.concatenate([values, -values])[:, None])
    assert (found.of_groups[0, 0], found.of_runs[0, 0]) == (0, 0)
    assert found.covariance[0, 0] > 0
    assert found.freedom == 4 * 2 - 1
    ends = crossed_interval(found)
    assert ends.low == -ends.high < 0
