"""What a metric is that a PGR can be of: one object that knows its value, what each example adds, chance and label.

A metric is a view of stored predictions: no stage runs again for a new one, and none enters a key. It registers itself
when its module is imported, one of this room or a user's own. `further.py` has those that no PGR is of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from w2s_sweep.registry import Registry

if TYPE_CHECKING:
    from w2s_sweep.metrics.further import RolePredictions
    from w2s_sweep.metrics.shapes import PerExample, Probs, SeveralProbs, SeveralScores, Truth


class Metric(ABC):
    """How good predictions are, in one number that is larger for better ones.

    A subclass needs a name, a label, a sentence about it, `value` and `chance`. What each example adds, from which all
    intervals and tests follow, then comes from `value`, slowly; a metric with a faster way has it instead.
    """

    name: ClassVar[str]
    """As in `metric=NAME`."""
    label: ClassVar[str]
    """As headings have it."""
    about: ClassVar[str]
    """What it is, for somebody who does not know it."""
    axis: ClassVar[str] = ""
    """The name of its axis in figures; the label where it is empty."""
    short: ClassVar[str] = ""
    """Its name in trackers; `name` where it is empty."""
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    """The smallest and the largest value that it can have."""
    undefined_where: ClassVar[str] = ""
    """Where it has no value, for somebody who chose it and got none."""
    reads_groups: ClassVar[bool] = False
    """Whether it depends on which examples belong together, which is known of test rows alone."""

    @abstractmethod
    def value(self, probs: Probs, truth: Truth) -> float | None:
        """The metric of all examples; None where it is undefined, as without examples."""

    @abstractmethod
    def chance(self, classes: int) -> float:
        """The metric of guessing among so many classes."""

    def chance_of(self, role: RolePredictions) -> float:
        """The metric of guessing on these examples, where it depends on more than the number of classes."""
        return self.chance(role.probs.shape[-1])

    def scores_of(self, role: RolePredictions) -> PerExample | None:
        """`scores` of what one role predicts."""
        return self.scores(role.probs, role.truth)

    def why_unfit(self, kind: str) -> str | None:
        """What tasks of a kind (classify, pair, generate) are, where that makes the metric meaningless."""
        return None

    def scores(self, probs: Probs, truth: Truth) -> PerExample | None:
        """A number for each example: their mean is the metric, their spread its sampling error; None if undefined.

        These are the pseudo-values of the jackknife (Tukey 1958), moved so that their mean is the metric itself. An
        example without which the metric would be undefined counts as the mean.
        """
        whole = self.value(probs, truth)
        if whole is None:
            return None
        rest = [self.value(np.delete(probs, i, 0), np.delete(truth, i)) for i in range(len(truth))]
        changes = np.array([0.0 if value is None else whole - value for value in rest])
        return whole + (len(truth) - 1) * (changes - changes.mean())

    def scores_of_each(self, probs: SeveralProbs, role: RolePredictions) -> SeveralScores:
        """`scores_of` several sets of predictions [sets, examples, classes] for the examples of `role`, of which there
        are some; NaN in the sets where the metric is undefined."""
        found = np.full(probs.shape[:2], np.nan)
        legal = None if role.legal is None else np.broadcast_to(role.legal, found.shape)
        for place, one in enumerate(probs):
            scores = self.scores_of(replace(role, probs=one, legal=None if legal is None else legal[place]))
            if scores is not None:
                found[place] = scores
        return found


METRICS: Registry[Metric] = Registry("metric")
