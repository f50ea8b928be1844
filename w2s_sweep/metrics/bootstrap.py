"""Paired bootstrap over test examples: one draw of examples serves weak, student and ceiling, so PGR stays paired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from w2s_sweep.errors import DataError
from w2s_sweep.metrics.classification import accuracy, auroc
from w2s_sweep.metrics.gap import Pgr, pgr
from w2s_sweep.metrics.resample import MetricName, resampled, weights

if TYPE_CHECKING:
    from w2s_sweep.metrics.shapes import PerResample, Probs, Truth

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A number with its interval; `low` and `high` are both None where there is no interval."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class CellScores:
    """The metric of the three roles and their PGR, with percentile intervals over test examples."""

    weak: Interval
    student: Interval
    ceiling: Interval
    pgr: Interval
    """Over the resamples on which PGR is defined; no interval where PGR itself is undefined."""
    pgr_undefined: str | None
    """Why PGR is undefined; None where it is a number."""
    undefined_resamples: int
    """Resamples without a PGR (ceiling not better than weak, or a class missing); many make the interval doubtful."""


def measure(metric: MetricName, probs: Probs, truth: Truth) -> float | None:
    """The metric by name."""
    return accuracy(probs, truth) if metric == "accuracy" else auroc(probs, truth)


def percentile_interval(value: float | None, samples: PerResample, level: float = LEVEL) -> Interval:
    """The middle `level` of the samples that are not NaN; no interval where `value` is None or no sample is left."""
    kept = samples[~np.isnan(samples)]
    if value is None or not len(kept):
        return Interval(value)
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def paired_bootstrap(
    weak: Probs,
    student: Probs,
    ceiling: Probs,
    truth: Truth,
    metric: MetricName = "accuracy",
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> CellScores:
    """Scores of one cell; rows of all four arrays are the same test examples. Raises DataError where they are not."""
    roles = {"weak": weak, "student": student, "ceiling": ceiling}
    require_paired(roles, truth)
    drawn = weights(len(truth), resamples, seed)
    values = {role: measure(metric, probs, truth) for role, probs in roles.items()}
    samples = {role: resampled(metric, probs, truth, drawn) for role, probs in roles.items()}
    gap, gaps = pgr(**values), gaps_of(**samples)
    return CellScores(
        **{role: percentile_interval(values[role], samples[role], level) for role in roles},
        pgr=percentile_interval(gap.value, gaps, level),
        pgr_undefined=_reason(gap),
        undefined_resamples=int(np.isnan(gaps).sum()),
    )


def require_paired(roles: dict[str, Probs], truth: Truth) -> None:
    """Raise DataError unless every role predicts every example, and there is one."""
    wrong = [f"{role} has {len(probs)}" for role, probs in roles.items() if len(probs) != len(truth)]
    if wrong:
        raise DataError(
            f"paired comparison: {', '.join(wrong)} rows for {len(truth)} examples. Align them by id first."
        )
    if not len(truth):
        raise DataError("paired comparison: there are no test examples. Set dataset.n_test to at least 1.")


def gaps_of(weak: PerResample, student: PerResample, ceiling: PerResample) -> PerResample:
    """PGR of each resample; NaN where the ceiling is not better than weak."""
    room = ceiling - weak
    return np.divide(student - weak, room, out=np.full(len(room), np.nan), where=room > 0)


def _reason(gap: Pgr) -> str | None:
    return gap.reason if gap.value is None else None
