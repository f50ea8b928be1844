"""Labels that fit each other: a search for the labelling of a set of rows in which every label is predictable from all
the others (internal coherence maximisation, Wen et al. 2025, arXiv 2506.10139). No label enters from outside."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]

HOTTEST, COLDEST, COOLING = 10.0, 0.01, 0.99
"""Temperature at step n is max(COLDEST, HOTTEST / (1 + COOLING log n)); constants of the paper."""


class Judge(Protocol):
    """Predicts each label from the other ones; signs are -1 (class 0) and 1 (class 1)."""

    def odds(self, signs: Array) -> Array:
        """float64 [n]: log-odds of class 1 of each row, given the labels of all other rows."""
        ...

    def moved(self, odds: Array, signs: Array, rows: Sequence[int]) -> Array:
        """The `odds` of `signs` after the labels of `rows` were turned over."""
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

    def odds(self, signs: Array) -> Array:
        return self.prior + self.pull @ signs

    def moved(self, odds: Array, signs: Array, rows: Sequence[int]) -> Array:
        index = list(rows)
        return odds - 2 * self.pull[:, index] @ signs[index]


def coherence(odds: Array, signs: Array) -> float:
    """Sum over rows of the log-probability of its label given all others: the mutual predictability."""
    return float(-np.logaddexp(0, -signs * odds).sum())


def consistent(odds: Array, groups: Sequence[Sequence[int]]) -> Array:
    """Signs of the most likely labelling in which half of each group is class 1 (with an odd one: either way)."""
    signs = np.where(odds > 0, 1, -1)
    for group in groups:
        order = sorted(group, key=lambda row: odds[row])
        low, high = len(order) // 2, -(-len(order) // 2)
        ones = min(max(int((signs[order] > 0).sum()), low), high)
        signs[order] = [-1] * (len(order) - ones) + [1] * ones
    return signs


def search(
    judge: Judge,
    signs: Array,
    *,
    alpha: float,
    sweeps: int,
    seed: int,
    groups: Sequence[Sequence[int]] = (),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Array:
    """The most coherent signs met by simulated annealing from `signs`, which are consistent with `groups`.

    A step draws a row and gives it the label that the others predict. In a group (at most half right and half wrong) a
    second label turns over with it: the one that fits worst. The step stands if it raises alpha * coherence, or else
    with probability exp(change / temperature). `sweeps`: steps for each row.
    """
    draw = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed])))
    home = {row: group for group in groups for row in group}
    signs = signs.copy()
    odds = judge.odds(signs)
    value, best, found, step = coherence(odds, signs), -math.inf, signs.copy(), 0
    for sweep in range(sweeps):
        for row in draw.permutation(len(signs)).tolist():
            step += 1
            if value > best:
                best, found = value, signs.copy()
            if signs[row] * odds[row] >= 0:
                continue
            rows = [row, *_fix(row, signs, odds, home.get(row, ()))]
            after = judge.moved(odds, signs, rows)
            turned = signs.copy()
            turned[rows] *= -1
            then = coherence(after, turned)
            heat = max(COLDEST, HOTTEST / (1 + COOLING * math.log(step)))
            change = alpha * (then - value)
            if change > 0 or draw.random() < math.exp(change / heat):
                signs, odds, value = turned, after, then
        on_progress(sweep + 1, sweeps)
    return signs if value > best else found


def _fix(row: int, signs: Array, odds: Array, group: Sequence[int]) -> list[int]:
    """The row whose label turns over too, so that the group of `row` keeps as many of each class."""
    others = [other for other in group if other != row and signs[other] == -signs[row]]
    same = max(1, sum(signs[other] == signs[row] for other in group))
    if same > len(others):  # no group, or an odd one: turning one over leaves it as balanced as it was
        return []
    return [min(others, key=lambda other: signs[other] * odds[other])]
