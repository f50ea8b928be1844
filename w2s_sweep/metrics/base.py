"""What a metric is that a PGR can be of: one object that knows its value, resamples, chance, paired test and label.

A metric is a view of stored predictions: no stage runs again for a new one, and none enters a key. It registers itself
when its module is imported, one of this room or a user's own. `further.py` has those that no PGR is of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from w2s_sweep.metrics.cluster import cluster_z_test
from w2s_sweep.registry import Registry

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import Codes, PerExample, PerResample, Probs, Truth, Weights


class Metric(ABC):
    """How good predictions are, in one number that is larger for better ones.

    A subclass needs a name, a label, a sentence about it, `value` and `chance`. Resamples, influences and the paired
    test then follow from `value`, slowly; a metric with a faster or an exact way has it instead.
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
    resamples: ClassVar[int] = 1000
    """Bootstrap resamples of a test set."""
    test: ClassVar[str] = "jackknife"
    """The paired test over examples, as headings have it."""
    test_text: ClassVar[str] = "the jackknife's z-test"
    """The same in a sentence."""

    @abstractmethod
    def value(self, probs: Probs, truth: Truth) -> float | None:
        """The metric of all examples; None where it is undefined, as without examples."""

    @abstractmethod
    def chance(self, classes: int) -> float:
        """The metric of guessing among so many classes."""

    def why_unfit(self, kind: str) -> str | None:
        """What tasks of a kind (classify, pair, generate) are, where that makes the metric meaningless."""
        return None

    def resample(self, probs: Probs, truth: Truth, drawn: Weights) -> PerResample:
        """The metric on every resample; NaN where it is undefined."""
        rows = (np.repeat(np.arange(len(truth)), counts.astype(int)) for counts in drawn.T)
        values = [self.value(probs[chosen], truth[chosen]) for chosen in rows]
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    def influence(self, probs: Probs, truth: Truth) -> PerExample | None:
        """By how much each example moves the metric; None where the metric is undefined.

        This is the jackknife's: what leaving the example out changes, centred; nothing where the metric would then be
        undefined.
        """
        whole = self.value(probs, truth)
        if whole is None:
            return None
        rest = [self.value(np.delete(probs, i, 0), np.delete(truth, i)) for i in range(len(truth))]
        changes = np.array([0.0 if value is None else whole - value for value in rest])
        return changes - changes.mean()

    def p_value(self, difference: float, changes: PerExample, examples: Codes, pairs: int) -> float:
        """Two-sided p of two students (or several pairs of them) that do not differ.

        `difference`: mean over the pairs of the second's metric minus the first's. `changes` [rows]: influence on the
        second's minus that on the first's, the test sets of all pairs one after another. `examples` [rows] tells rows
        of the same example by a whole number: seeds share examples.
        """
        return cluster_z_test(difference, changes / pairs, examples)


METRICS: Registry[Metric] = Registry("metric")
