"""Internal coherence: labels that predict each other are found, whatever noise the search starts from."""

import numpy as np
import pytest

from w2s_sweep.coherence import RidgeJudge, coherence, consistent, search

HOW = {"alpha": 50.0, "sweeps": 20, "seed": 0}


def planted(n=80, width=4, distance=3.0, seed=0):
    """(features, signs): two classes that differ in one direction of the features."""
    draw = np.random.default_rng(seed)
    signs = np.where(np.arange(n) % 2, 1, -1)
    return (draw.normal(size=(n, width)) + distance * signs[:, None] * np.eye(width)[0]).astype(np.float32), signs


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_planted_labelling_is_found_from_one_with_many_errors(seed):
    features, signs = planted(160, seed=seed)
    wrong = np.random.default_rng(seed).permutation(160)[:48]
    start = signs.copy()
    start[wrong] *= -1
    found = search(RidgeJudge(features, np.zeros(160), 1.0), start, **HOW)
    assert (start == signs).mean() == 0.7
    assert (found == signs).mean() > 0.98


def test_the_prediction_of_a_row_is_that_of_a_fit_without_it():
    features, signs = planted(n=30)
    wide = features.astype(np.float64)
    wide = (wide - wide.mean(0)) / wide.std(0)
    gram = wide.T @ wide
    ridge = 0.7 * np.trace(gram) / 4
    odds = RidgeJudge(features, np.zeros(30), 0.7).odds(signs)
    for row in range(30):
        rest = np.arange(30) != row
        weight = np.linalg.solve(wide[rest].T @ wide[rest] + ridge * np.eye(4), wide[rest].T @ signs[rest])
        assert odds[row] == pytest.approx(2 * wide[row] @ weight, abs=1e-8)


def test_no_label_speaks_for_itself_and_moves_add_up():
    features, signs = planted(n=20)
    judge = RidgeJudge(features, np.arange(20.0), 1.0)
    turned = signs.copy()
    turned[[3, 7]] *= -1
    after = judge.moved(judge.odds(signs), signs, [3, 7])
    assert np.allclose(after, judge.odds(turned))
    turned[7] *= -1
    assert judge.odds(turned)[3] == pytest.approx(judge.odds(signs)[3])


def test_one_label_for_everybody_is_not_coherent():
    features, signs = planted()
    judge = RidgeJudge(features, np.zeros(80), 1.0)
    same = np.ones(80)
    assert coherence(judge.odds(signs), signs) > coherence(judge.odds(same), same) + 10


def test_the_search_never_ends_below_its_start_and_repeats_itself():
    features, _ = planted(n=24, distance=0.3)
    prior = np.random.default_rng(1).normal(size=24)
    judge, start = RidgeJudge(features, prior, 1.0), consistent(prior, ())
    value = lambda signs: coherence(judge.odds(signs), signs)  # noqa: E731
    found = search(judge, start, **HOW)
    assert value(found) >= value(start)
    assert np.array_equal(found, search(judge, start, **HOW))


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_groups_stay_half_right_at_every_step(size):
    features, _ = planted(n=60, distance=1.0)
    groups = [list(range(i, i + size)) for i in range(0, 60, size)]
    prior = np.random.default_rng(0).normal(size=60)
    start = consistent(prior, groups)
    judge = RidgeJudge(features, prior / 9, 1.0)
    found = search(judge, start, groups=groups, **HOW)
    for signs in (start, found):
        assert all(abs(signs[group].sum()) <= size % 2 for group in groups)
    assert (found != start).any()


def test_what_is_known_of_groups_corrects_labels():
    odds = np.array([3.0, 1.0, -2.0, -0.5, 0.2, -4.0])
    assert consistent(odds, [[0, 1], [2, 3]]).tolist() == [1, -1, -1, 1, 1, -1]
