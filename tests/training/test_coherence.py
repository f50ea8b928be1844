"""Internal coherence: labels that predict each other are found, whatever noise the search starts from."""

import itertools
from functools import cache

import numpy as np
import pytest

from w2s_sweep.kinds.labels import Elicit
from w2s_sweep.stages.annotate import begin
from w2s_sweep.stages.elicit import search_labels
from w2s_sweep.training.coherence import ContextJudge, RidgeJudge, coherence, consistent, label_agreement, search

HOW = {"value": coherence, "alpha": 50.0, "steps": 3200, "seed": 0}


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
    after = judge.move(judge.odds(signs), signs, turned)
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


class Neighbours:
    """Stands for a language model: a label is as likely as shown rows of its side of a line are of its class."""

    def __init__(self, places):
        self.places = places
        self.asked = 0

    def __call__(self, shown, asked):
        self.asked += len(asked)
        pull = [sum((2 * c - 1) * np.exp(-abs(self.places[r] - self.places[row])) for r, c in shown) for row in asked]
        return np.array(pull, dtype=np.float64)


PLACES = np.where(np.arange(24) % 3 == 0, -2.0, 2.0) + np.random.default_rng(0).normal(size=24) / 4
GROWN = {"value": label_agreement, "alpha": 30.0, "steps": 400}


@pytest.mark.parametrize("folds", [None, 2, 3])
def test_a_few_random_labels_grow_to_a_labelling_that_keeps_what_is_alike_together(folds):
    found = [search(ContextJudge(Neighbours(PLACES), folds), begin(24, 8, (), s), seed=s, **GROWN) for s in range(5)]
    assert min(np.count_nonzero(signs) for signs in found) >= 20
    kept = [len({*signs[PLACES < 0]} - {0}) == len({*signs[PLACES > 0]} - {0}) == 1 for signs in found]
    assert sum(kept) >= 4


@pytest.mark.parametrize("folds", [None, 2, 5])
def test_no_row_is_shown_its_own_label_and_few_changes_are_asked_about_again(folds):
    shown_to = {}

    def answer(shown, asked):
        shown_to.update({row: tuple(shown) for row in asked})
        return Neighbours(PLACES)(shown, asked)

    judge, draw = ContextJudge(answer, folds), np.random.default_rng(0)
    signs = draw.integers(-1, 2, 24)
    odds = judge.odds(signs)
    for row in np.flatnonzero(signs):
        assert row not in dict(shown_to[row])
        assert all(signs[r] == 2 * c - 1 for r, c in shown_to[row])
    if folds is None:
        assert all(len(shown_to[row]) == np.count_nonzero(signs) - 1 for row in np.flatnonzero(signs))
    for _ in range(10):
        turned = signs.copy()
        turned[draw.integers(0, 24, 2)] = draw.choice([-1, 1], 2)
        odds = judge.move(odds, signs, turned)
        signs = turned
        assert np.allclose(odds[signs != 0], judge.odds(signs)[signs != 0])


def test_the_rows_of_a_fold_are_asked_together_and_not_again_for_a_change_among_themselves():
    calls = []

    def answer(shown, asked):
        calls.append(list(asked))
        return np.zeros(len(asked))

    judge, signs = ContextJudge(answer, 2), np.ones(6, dtype=int)
    odds = judge.odds(signs)
    assert calls == [[0, 2, 4], [1, 3, 5]]
    turned = signs.copy()
    turned[2] = -1
    judge.move(odds, signs, turned)
    assert calls[2:] == [[1, 3, 5]]


@pytest.mark.slow
@pytest.mark.parametrize("stop", [0, 1, 17, 150])
@pytest.mark.parametrize("size", [None, 4], ids=["free", "groups"])
def test_a_search_that_was_stopped_ends_like_one_that_was_not(stop, size):
    groups, states, whole = searched(size)
    judge = ContextJudge(Neighbours(PLACES), None)
    assert np.array_equal(search(judge, states[stop], seed=1, groups=groups, **GROWN), whole)


@cache
def searched(size):
    """(groups of so many rows, state after each step, result) of a search that nothing stopped."""
    groups = [] if size is None else [list(range(i, i + size)) for i in range(0, 24, size)]
    judge, start, states = ContextJudge(Neighbours(PLACES), None), begin(24, 8, groups, 1), []
    whole = search(judge, start, seed=1, groups=groups, on_step=states.append, **GROWN)
    return groups, states, whole


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_labels_begin_balanced_and_a_growing_group_never_has_too_many_of_a_class(size):
    groups = [list(range(i, i + size)) for i in range(0, 24, size)] if size > 1 else []
    start = begin(24, 8, groups, 3)
    assert np.count_nonzero(start) == 8
    assert abs(start.sum()) <= (size % 2) * len(groups)
    assert not np.array_equal(start, begin(24, 8, groups, 4))
    seen = []
    search(ContextJudge(Neighbours(PLACES), 2), start, seed=3, groups=groups, on_step=seen.append, **GROWN)
    for state, group in itertools.product(seen, groups):
        assert max((state.signs[group] == 1).sum(), (state.signs[group] == -1).sum()) <= -(-size // 2)


@pytest.mark.parametrize("seed", range(4))
def test_balance_holds_at_every_step_and_keeps_one_label_from_winning(seed):
    """This judge says class 1 of everything, as a model may that likes one of its words."""

    places = np.where(np.arange(24) % 2 == 0, -2.0, 2.0) + np.random.default_rng(seed).normal(size=24) / 4

    def partial(shown, asked):
        return Neighbours(places)(shown, asked) + 9.0

    how = GROWN | {"seed": seed}
    free, seen = search(ContextJudge(partial, None), begin(24, 8, (), seed), **how), []
    kept = search(ContextJudge(partial, None), begin(24, 8, (), seed), balanced=True, on_step=seen.append, **how)
    assert (free == 1).all()
    assert max(abs(state.signs.sum()) for state in seen) <= 1
    assert np.count_nonzero(kept) >= 20
    assert max((kept[places < 0] == sign).mean() for sign in (-1, 1)) > 0.8


def test_rows_of_groups_that_have_a_label_come_first():
    groups = [list(range(i, i + 4)) for i in range(0, 24, 4)]
    seen = []
    start = np.where(np.arange(24) < 2, [1, -1] * 12, 0)
    how = GROWN | {"steps": 2}
    for seed in range(40):
        search(ContextJudge(Neighbours(PLACES), 2), start, seed=seed, groups=groups, on_step=seen.append, **how)
    added = [row for state in seen for row in np.flatnonzero(state.signs)]
    assert np.mean([row < 4 for row in added]) > 0.9


@pytest.mark.parametrize("shift", [-3.0, 3.0])
def test_soft_labels_of_a_balanced_search_are_balanced_whatever_the_prior_prefers(shift):
    features, signs = planted(80)
    settings = Elicit(on="half_b", prior=1.0, penalty=1.0, alpha=50.0, sweeps=5, seed=0, groups="balanced", harden=True)
    prior = shift + signs * np.random.default_rng(0).normal(0.5, 1, 80)
    _, after, odds = search_labels(features, prior, settings)
    assert after.sum() == 0
    assert abs((odds > 0).mean() - 0.5) < 0.02
    assert ((odds > 0) == (after > 0)).mean() > 0.9
