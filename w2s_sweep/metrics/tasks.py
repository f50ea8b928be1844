"""Intervals over tasks: what another choice of tasks would give. Tasks are resampled, each with all of its seeds."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from w2s_sweep.metrics.interval import LEVEL, RESAMPLES, Interval, percentile_interval


def over_tasks(
    values: Sequence[float],
    statistic: Literal["mean", "median"],
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The statistic of one value a task, with the percentile interval over resampled tasks; rough for few tasks.

    No interval for fewer than two tasks, no value for none.
    """
    if len(values) < 2:
        return Interval(values[0] if values else None)
    reduce = np.mean if statistic == "mean" else np.median
    known = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(known), size=(resamples, len(known)))
    return percentile_interval(float(reduce(known)), reduce(known[drawn], axis=1), level)
