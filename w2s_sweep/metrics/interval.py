"""A number with its interval, and the percentile interval of resamples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import PerResample

RESAMPLES = 2000
"""Bootstrap resamples of seeds and of tasks."""
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A number with its interval; `low` and `high` are both None where there is no interval."""

    value: float | None
    low: float | None = None
    high: float | None = None


def percentile_interval(value: float | None, samples: PerResample, level: float = LEVEL) -> Interval:
    """The middle `level` of the samples that are not NaN; no interval where `value` is None or no sample is left."""
    defined = samples[~np.isnan(samples)]
    if value is None or not len(defined):
        return Interval(value)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))
