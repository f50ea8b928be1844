"""What holds over tasks. The unit is the task: each counts once, however many seeds it has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from w2s_sweep.metrics.interval import LEVEL, Interval, special_functions


def median_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """The median of one value a task, between two of the ordered values: exact whatever the tasks' distribution.

    The interval from the i-th smallest to the i-th largest of n misses the median with probability 2 P(B < i), B
    binomial (n, 1/2). No interval for fewer than six values (at 95 %): even the whole range would miss it too often.
    No value for none.
    """
    if not len(values):
        return Interval(None)
    ordered = sorted(values)
    bdtr = special_functions().bdtr
    known = [i for i in range(1, len(ordered) // 2 + 1) if 2 * bdtr(i - 1, len(ordered), 0.5) <= 1 - level]
    middle = float(np.median(ordered))
    return Interval(middle, ordered[known[-1] - 1], ordered[-known[-1]]) if known else Interval(middle)
