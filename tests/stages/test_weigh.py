"""Rules that weigh the members of an ensemble, and the rows they are trained on: planted cases and a toy boosting."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_sweep.errors import DataError
from w2s_sweep.kinds.labels import Reveal
from w2s_sweep.predictions import Predictions
from w2s_sweep.stages.combine import combine, fit_stack, stacking_weights
from w2s_sweep.stages.reveal import reveal
from w2s_sweep.stages.weigh import boosting, weighted_mean
from w2s_sweep.training.labels import with_probs


def said(one, truth, splits):
    """Predictions of class 1 with probability `one`."""
    probs = np.stack([1 - one, one], 1)
    ids = np.array([f"r{i:04d}" for i in range(len(one))], dtype=object)
    nothing = np.full(probs.shape, np.nan, np.float32)
    return with_probs(Predictions(ids, splits, truth.astype(np.int8), probs, probs, nothing), probs)


def two_members(n=4000, share=0.7, seed=0):
    """Truth drawn from a mixture of two opinions, `share` of the rows from the first."""
    draw = np.random.default_rng(seed)
    first, second = draw.uniform(0.02, 0.98, (2, n))
    truth = draw.random(n) < np.where(draw.random(n) < share, first, second)
    splits = np.array(["half_b", "validation", "validation", "test"], dtype=object)[np.arange(n) % 4]
    return [said(first, truth, splits), said(second, truth, splits)]


def test_learned_weights_recover_a_planted_mixture():
    shares = stacking_weights(two_members())
    assert shares.sum() == pytest.approx(1)
    assert shares[0] == pytest.approx(0.7, abs=0.06)


def test_learned_weights_see_the_truth_of_validation_alone():
    members = two_members()
    other = [replace(m, truth=np.where(m.splits == "validation", m.truth, 1 - m.truth)) for m in members]
    assert np.array_equal(stacking_weights(members), stacking_weights(other))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 50), st.integers(2, 4))
def test_no_other_mixture_is_likelier_than_the_learned_one(seed, members):
    draw = np.random.default_rng(seed)
    p = draw.uniform(0.01, 1, (members, 30))
    best = np.log(fit_stack(p) @ p).sum()
    others = draw.dirichlet(np.ones(members), size=50)
    assert (np.log(others @ p).sum(1) <= best + 1e-6).all()


def reference_boosting(wrong, classes):
    """SAMME as its authors print it, with weights that sum to 1."""
    w = np.ones(wrong.shape[1]) / wrong.shape[1]
    alphas = []
    for miss in wrong:
        error = w[miss].sum()
        alphas.append(np.log((1 - error) / error) + np.log(classes - 1))
        w = w * np.exp(alphas[-1] * miss)
        w = w / w.sum()
    return np.array(alphas), w * wrong.shape[1]


@pytest.mark.parametrize("classes", [2, 3])
def test_boosting_is_adaboost_for_any_number_of_classes(classes):
    wrong = np.random.default_rng(1).random((4, 60)) < 0.3
    says, weights = boosting(wrong, classes)
    wanted = reference_boosting(wrong, classes)
    np.testing.assert_allclose(says, wanted[0])
    np.testing.assert_allclose(weights, wanted[1])
    assert weights.mean() == pytest.approx(1)
    if classes == 2:  # what AdaBoost is known for: the last member is no better than chance on its own weights
        assert weights[wrong[-1]].sum() == pytest.approx(30)


def test_members_that_are_perfect_or_no_better_than_chance_break_nothing():
    wrong = np.array([[False] * 8, [True] * 8, [True] * 4 + [False] * 4])
    says, weights = boosting(wrong, 2)
    assert says[0] == pytest.approx(np.log(15))
    assert says[1] == says[2] == 0
    assert np.array_equal(weights, np.ones(8))


def test_boosted_stumps_beat_one_stump():
    """On the classical example: a band of class 1 between two of class 0, which no threshold separates."""
    x = np.linspace(0, 1, 90)
    truth = ((x > 1 / 3) & (x < 2 / 3)).astype(int)

    def stump(weights):
        tries = [(float((weights * ((s * (x > t) + (1 - s) * (x <= t)) != truth)).sum()), t, s)
                 for t in np.linspace(-0.01, 1, 60) for s in (0, 1)]  # fmt: skip
        _, t, s = min(tries)
        return (s * (x > t) + (1 - s) * (x <= t)).astype(int)

    members, weights = [], np.ones(len(x))
    for _ in range(9):
        members.append(stump(weights))
        says, weights = boosting(np.stack([m != truth for m in members]), 2)
    splits = np.array(["half_a"] * len(x), dtype=object)
    together = weighted_mean([said(m.astype(float), truth, splits) for m in members], says)
    assert (members[0] != truth).mean() > 0.3
    assert (together.probs.argmax(1) != truth).mean() < 0.1


def test_the_boosted_ensemble_weighs_its_members_by_their_half_and_predicts_the_other_splits():
    n = 80
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, n)
    splits = np.array(["half_a", "half_b", "validation", "test"], dtype=object)[np.arange(n) % 4]
    good = said(np.where(truth == 1, 0.9, 0.1), truth, splits)
    bad = said(draw.uniform(0, 1, n), truth, splits)
    both = combine([bad, good], "boosted")
    assert set(both.splits) == {"half_b", "validation", "test"}
    assert (both.probs.argmax(1) == both.truth).all()
    elsewhere = [m.take(np.flatnonzero(splits != "half_a")) for m in (bad, good)]
    with pytest.raises(DataError, match="half_a"):
        combine(elsewhere, "boosted")


def test_an_opposite_budget_contradicts_the_truth_where_a_budget_tells_it():
    p = two_members(200)[0]
    settings = Reveal(on="half_b", share=0.4, choose="random", seed=1)
    told, count = reveal(p, "half_b", settings)
    against, same = reveal(p, "half_b", replace(settings, opposite=True))
    rows = np.flatnonzero((told.probs != p.probs).any(1))
    assert count == same == len(rows)
    assert np.array_equal(against.probs[rows], 1 - told.probs[rows])
    rest = np.setdiff1d(np.arange(200), rows)
    assert np.array_equal(against.probs[rest], told.probs[rest])
