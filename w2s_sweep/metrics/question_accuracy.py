"""Accuracy of whole questions: of the answers to one question the right one must get the highest score.

The examples of multiple choice are (question, answer) pairs, and a group of them is a question where exactly one of its
answers is right; where several questions share a group, such as a passage, examples say which one they answer. A model
may tell which of two answers is better and still call both right: such a question counts 1 here and one half in the
accuracy of single answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from w2s_sweep.metrics.auroc import margins
from w2s_sweep.metrics.base import METRICS, Metric

if TYPE_CHECKING:
    from w2s_sweep.arrays import Array
    from w2s_sweep.metrics.further import RolePredictions
    from w2s_sweep.metrics.shapes import Names, PerExample, Probs, SeveralProbs, SeveralScores, Truth

MOSTLY = 0.95
"""Share of the groups of several examples that must be questions: else groups are passages or documents."""


class QuestionAccuracy(Metric):
    name = "question_accuracy"
    label = "question accuracy"
    about = "share of questions whose right answer gets the highest score; ties share it"
    axis = "accuracy (share of test questions)"
    short = "qacc"
    undefined_where = "test rows are not answers to questions, grouped by question with one right answer each"
    reads_groups = True

    def value(self, probs: Probs, truth: Truth) -> float | None:
        """None: without groups nothing is known of questions."""
        return None

    def scores_of(self, role: RolePredictions) -> PerExample | None:
        names = _names(role)
        return None if names is None else question_scores(role.probs, role.truth, names)

    def scores_of_each(self, probs: SeveralProbs, role: RolePredictions) -> SeveralScores:
        names = _names(role)
        if names is None or no_questions(probs[0], role.truth, names) is not None:
            return np.full(probs.shape[:2], np.nan)  # which does not depend on what is predicted
        return super().scores_of_each(probs, role)

    def chance(self, classes: int) -> float:
        """Of the right answer and a wrong one, which tasks of multiple choice here take of each question."""
        return 0.5

    def chance_of(self, role: RolePredictions) -> float:
        """Of a question with n answers 1 / n; mean over the questions."""
        if (names := _names(role)) is not None:
            _, sizes, asked = _questions(role.truth, names)
            if _why_none(role.probs, sizes, asked) is None:
                return float((1 / sizes[asked]).mean())
        return self.chance(role.probs.shape[-1])

    def why_unfit(self, kind: str) -> str | None:
        return None if kind == "classify" else f"a task of kind {kind}, whose examples are no answers to questions"


def _names(role: RolePredictions) -> Names | None:
    """What each example answers: its question, else its group."""
    return role.groups if role.questions is None else role.questions


METRICS.register(QuestionAccuracy.name, QuestionAccuracy())


def question_scores(probs: Probs, truth: Truth, groups: Names) -> PerExample | None:
    """A number for each example: the mean is the accuracy of questions, the spread over groups its sampling error.

    The metric is a mean over questions, so an example adds what its question adds, shared among its answers. Examples
    of no question add the mean. None where `no_questions` says why.
    """
    member, sizes, asked = _questions(truth, groups)
    if _why_none(probs, sizes, asked) is not None:
        return None
    margin, n = margins(probs), len(sizes)
    best = np.full(n, -np.inf)
    np.maximum.at(best, member, margin)
    top = margin == best[member]
    won = np.bincount(member[top & (truth == 1)], minlength=n) / np.bincount(member[top], minlength=n)
    share = float(won[asked].mean())
    weights = len(truth) / (np.count_nonzero(asked) * sizes)
    return share + np.where(asked, (won - share) * weights, 0.0)[member]


def no_questions(probs: Probs, truth: Truth, groups: Names) -> str | None:
    """Why the accuracy of questions is undefined, or None where it is defined."""
    _, sizes, asked = _questions(truth, groups)
    return _why_none(probs, sizes, asked)


def _why_none(probs: Probs, sizes: Array, asked: Array) -> str | None:
    if len(probs) == 0:
        return "there are no examples"
    if probs.shape[1] != 2:
        return f"the task has {probs.shape[1]} classes, and an answer is right or wrong"
    several, found = np.count_nonzero(sizes > 1), np.count_nonzero(asked)
    if several == 0:
        return "every example is a group of its own"
    if found < MOSTLY * several:
        return f"{several - found} of {several} groups have no right answer or more than one"
    return None


def _questions(truth: Truth, groups: Names) -> tuple[Array, Array, Array]:
    """(group of each example, sizes of groups, whether a group has several examples of which exactly one is right)."""
    _, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return member, sizes, (np.bincount(member, weights=truth, minlength=len(sizes)) == 1) & (sizes > 1)
