"""Labels that fit each other: a search for the labelling of a set of rows in which every label is predictable from all
the others (internal coherence maximisation, Wen et al. 2025, arXiv 2506.10139). No label enters from outside."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from w2s_sweep.predictions import Array

HOTTEST, COLDEST, COOLING = 10.0, 0.01, 0.99
"""Temperature at step n is max(COLDEST, HOTTEST / (1 + COOLING log n)); constants of the paper."""
PREFERRED = 100.0
"""Rows without a label whose group has one are drawn so many times as often as others; the paper's constant."""


class Judge(Protocol):
    """Predicts each label from the other ones; signs are -1 (class 0), 1 (class 1) and 0 (no label)."""

    def ask(self, row: int, signs: Array) -> float:
        """Log-odds of class 1 of one row without a label, given labels of other rows."""
        ...

    def odds(self, signs: Array) -> Array:
        """float64 [n]: log-odds of class 1 of each row with a label, given labels of other rows; others: anything."""
        ...

    def move(self, odds: Array, before: Array, after: Array) -> Array:
        """The odds of the signs `after`, where `odds` are those of `before`, which differ in few rows."""
        ...


class RidgeJudge:
    """Leave-one-out ridge regression of the signs on frozen features, plus log-odds known beforehand.

    With hat matrix H the prediction without row i is m = (sum over j != i of H_ij y_j) / (1 - H_ii); read as a Gaussian
    of variance 1 its log-odds are 2 m. Features are centred and have no intercept, so one label for everybody predicts
    nothing: the labelling in which all agree is not coherent here.
    """

    def __init__(self, features: Array, prior: Array, penalty: float):
        """`features` [n, width]; `prior` [n], log-odds; `penalty`: ridge, in units of the features' mean variance."""
        wide = features.astype(np.float64)
        scale = wide.std(0)
        wide = (wide - wide.mean(0)) / np.where(scale > 1e-6, scale, 1.0)
        gram = wide @ wide.T
        ridge = penalty * max(float(np.trace(gram)), 1e-12) / max(1, min(wide.shape))
        hat = np.linalg.solve(gram + ridge * np.eye(len(gram)), gram)
        own = np.clip(np.diag(hat), 0, 1 - 1e-9)
        self.pull = 2 * hat / (1 - own)[:, None]
        """[i, j]: what label j adds to the log-odds of row i."""
        np.fill_diagonal(self.pull, 0.0)
        self.prior = prior.astype(np.float64)

    def ask(self, row: int, signs: Array) -> float:
        return float(self.prior[row] + self.pull[row] @ signs)

    def odds(self, signs: Array) -> Array:
        return self.prior + self.pull @ signs

    def move(self, odds: Array, before: Array, after: Array) -> Array:
        index = np.flatnonzero(before != after)
        return odds + self.pull[:, index] @ (after - before)[index]


Answer = Callable[[Sequence[tuple[int, int]], Sequence[int]], Array]
"""(rows to show with their class, rows to classify) -> log-odds of class 1 of the latter."""


class ContextJudge:
    """A language model that predicts the label of a row with other rows and their labels in its prompt.

    Rows are split into `folds`; a fold is predicted from the labels of all other folds, which are read once for all of
    its rows. None is the paper's leave-one-out, in which each row is a fold of its own.
    """

    def __init__(self, answer: Answer, folds: int | None):
        self.answer = answer
        self.folds = folds

    def ask(self, row: int, signs: Array) -> float:
        fold = self._folds(len(signs))
        return float(self.answer(_show(signs, (fold != fold[row]) & (signs != 0)), [row])[0])

    def odds(self, signs: Array) -> Array:
        return self.move(np.zeros(len(signs)), np.zeros_like(signs), signs)

    def move(self, odds: Array, before: Array, after: Array) -> Array:
        fold = self._folds(len(after))
        changed = before != after
        odds = odds.copy()
        for number in np.unique(fold[after != 0]):
            asked = (fold == number) & (after != 0)
            if not (changed & (fold != number)).any():  # its prompt holds the same labels
                asked &= before == 0
            if asked.any():
                odds[asked] = self.answer(_show(after, (fold != number) & (after != 0)), np.flatnonzero(asked).tolist())
        return odds

    def _folds(self, rows: int) -> Array:
        return np.arange(rows) % (self.folds or rows)


def _show(signs: Array, which: Array) -> list[tuple[int, int]]:
    return [(int(row), int(signs[row] > 0)) for row in np.flatnonzero(which)]


def coherence(odds: Array, signs: Array) -> float:
    """Sum over rows of the log-probability of its label given all others: the mutual predictability of the paper."""
    labelled = signs != 0
    return float(-np.logaddexp(0, -signs * odds)[labelled].sum())


def label_agreement(odds: Array, signs: Array) -> float:
    """Mean over the rows with a label of its log-odds: what the paper's released code puts for mutual predictability.

    A sum of log-probabilities falls with every further label, so a set that grows under it would hardly grow.
    """
    labelled = signs != 0
    return float((signs * odds)[labelled].mean()) if labelled.any() else 0.0


def consistent(odds: Array, groups: Sequence[Sequence[int]]) -> Array:
    """Signs of the most likely labelling in which half of each group is class 1 (with an odd one: either way)."""
    signs = np.where(odds > 0, 1, -1)
    for group in groups:
        order = sorted(group, key=lambda row: odds[row])
        low, high = len(order) // 2, -(-len(order) // 2)
        ones = min(max(int((signs[order] > 0).sum()), low), high)
        signs[order] = [-1] * (len(order) - ones) + [1] * ones
    return signs


@dataclass(frozen=True)
class SearchState:
    """Where a search is after a step: all that the next one depends on."""

    step: int
    signs: Array
    odds: Array
    value: float
    found: Array
    """The labelling that is returned if nothing better is met: most labels first, then the highest value."""
    best: float


def search(
    judge: Judge,
    start: Array | SearchState,
    *,
    value: Callable[[Array, Array], float],
    alpha: float,
    steps: int,
    seed: int,
    groups: Sequence[Sequence[int]] = (),
    balanced: bool = False,
    on_step: Callable[[SearchState], None] = lambda state: None,
) -> Array:
    """The signs of the highest `value` met by simulated annealing from signs consistent with `groups`, or a state.

    A step draws a row and gives it the label that the others predict. In a group (at most half of it of one class), or
    among all labelled rows where the whole is `balanced`, a second label turns over with it: the one that fits worst.
    Balanced log-odds count from their median, so that a bias for one class does not count. The step stands if it raises
    alpha * value, or else with probability exp(change / temperature). Rows may begin without a label (0). A search that
    goes on from a `State` ends as one that was never stopped.
    """
    home = {row: group for group in groups for row in group}

    def worth(odds: Array, signs: Array) -> float:
        return value(odds - middle(odds, signs, balanced), signs)

    state = start if isinstance(start, SearchState) else _begin(judge, start, worth)
    while state.step < steps:
        step = state.step + 1
        draw = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, step])))
        row = _draw(draw, state.signs, groups)
        said = float(state.odds[row]) if state.signs[row] else judge.ask(row, state.signs)
        said -= middle(state.odds, state.signs, balanced)
        signs, odds, now = state.signs, state.odds, state.value
        if signs[row] * said < 0 or not signs[row]:
            to = 1 if said > 0 else -1
            labelled = np.union1d(np.flatnonzero(signs), row) if balanced else ()
            turned = _turn(signs, odds, row, to, labelled if balanced else home.get(row, ()))
            after = judge.move(odds, signs, turned)
            then = worth(after, turned)
            change = alpha * (then - now)
            if change > 0 or draw.random() < math.exp(change / temperature(step)):
                signs, odds, now = turned, after, then
        found, best = state.found, state.best
        if (np.count_nonzero(signs), now) > (np.count_nonzero(found), best):
            found, best = signs, now
        state = SearchState(step, signs, odds, now, found, best)
        on_step(state)
    return state.found


def temperature(step: int) -> float:
    return max(COLDEST, HOTTEST / (1 + COOLING * math.log(step)))


def middle(odds: Array, signs: Array, balanced: bool) -> float:
    """What the log-odds of the rows with a label are counted from."""
    return float(np.median(odds[signs != 0])) if balanced and signs.any() else 0.0


def _begin(judge: Judge, signs: Array, value: Callable[[Array, Array], float]) -> SearchState:
    odds = judge.odds(signs)
    now = value(odds, signs)
    return SearchState(0, signs, odds, now, signs, now)


def _draw(draw: np.random.Generator, signs: Array, groups: Sequence[Sequence[int]]) -> int:
    if signs.all():
        return int(draw.integers(len(signs)))
    weight = np.ones(len(signs))
    for group in groups:
        if signs[list(group)].any():
            weight[[row for row in group if not signs[row]]] = PREFERRED
    return int(draw.choice(len(signs), p=weight / weight.sum()))


def _turn(signs: Array, odds: Array, row: int, to: int, group: Sequence[int] | Array) -> Array:
    """`signs` with `to` for `row`, and where more than half of its group were `to`, the worst of those turned over."""
    turned = signs.copy()
    turned[row] = to
    members = np.asarray(group, dtype=np.int64)
    others = members[(signs[members] == to) & (members != row)]
    if len(others) and len(others) + 1 > -(-len(members) // 2):
        turned[others[np.argmin(to * odds[others])]] = -to
    return turned
