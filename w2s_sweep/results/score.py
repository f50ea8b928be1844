"""Three roles' test predictions -> the numbers of a cell. Rows are sorted by id: roles are compared by example."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.metrics import (
    FURTHER,
    METRICS,
    ROLES,
    Interval,
    OfCell,
    OfMeans,
    OfRole,
    percentile_interval,
    pgr,
    pgr_samples,
    resample_means,
    weights,
)
from w2s_sweep.results.examples import Examples

FURTHER_RESAMPLES = 1000
"""Bootstrap resamples of a test set for all further metrics."""


@dataclass(frozen=True)
class StageScores:
    """What depends on one stage alone."""

    examples: Examples
    values: dict[str, float | None]
    """Metric -> its value."""
    samples: dict[str, Array]
    """Metric -> its value on every bootstrap resample of the test set."""
    further: dict[str, Interval]
    """Brier score, ECE and whatever else each role has by itself."""
    influences: dict[str, Array | None] = field(default_factory=dict[str, "Array | None"])

    def influence(self, metric: str) -> Array | None:
        """[examples]: by how much each example moves the metric; None where it is undefined."""
        if metric not in self.influences:
            self.influences[metric] = METRICS[metric].influence(self.examples.probs, self.examples.truth)
        return self.influences[metric]


@dataclass
class Scorer:
    """Scores cells; what depends on one stage alone is computed once however many cells use the stage."""

    stages: dict[str, StageScores] = field(default_factory=dict[str, StageScores])

    def score(self, keys: Mapping[str, str], sets: Mapping[str, Examples], metric: str) -> dict[str, Any]:
        """Fields of a finished `Row` from the stage key and the (same) examples of each role.

        The bootstrap is paired: one draw of examples serves all roles, so PGR stays paired on every resample.
        """
        stages = {role: self.score_stage(keys[role], sets[role]) for role in ROLES}
        gaps = {name: _gap(stages, name) for name in METRICS}
        details = {
            f"{name}/{role}": percentile_interval(stages[role].values[name], stages[role].samples[name])
            for name in METRICS
            for role in ROLES
        }
        details |= {f"{name}/{role}": found for role in ROLES for name, found in stages[role].further.items()}
        details |= {f"pgr/{name}": interval for name, (interval, _, _) in gaps.items()} | _relations(sets)
        interval, reason, undefined = gaps[metric]
        return {
            "n_test": len(sets["weak"].ids),
            "classes": sets["weak"].probs.shape[1],
            **{role: details[f"{metric}/{role}"] for role in ROLES},
            "pgr": interval,
            "pgr_undefined": reason,
            "undefined_resamples": undefined,
            "details": details,
        }

    def score_stage(self, key: str, examples: Examples) -> StageScores:
        """The scores of a stage, from memory where it has been scored before."""
        if key not in self.stages:
            probs, truth = examples.probs, examples.truth
            values = {name: metric.value(probs, truth) for name, metric in METRICS.items()}
            samples = {
                name: metric.resample(probs, truth, weights(len(truth), metric.resamples, 0))
                for name, metric in METRICS.items()
            }
            further = {name: metric.measure(examples) for name, metric in FURTHER.items() if isinstance(metric, OfRole)}
            defined = {name: found for name, found in further.items() if found is not None}
            self.stages[key] = StageScores(examples, values, samples, _intervals(defined))
        return self.stages[key]


def _gap(stages: Mapping[str, StageScores], metric: str) -> tuple[Interval, str, int]:
    """(PGR of the metric, why it is undefined or "", resamples without one)."""
    gaps = pgr_samples(**{role: stages[role].samples[metric] for role in ROLES})
    gap = pgr(**{role: stages[role].values[metric] for role in ROLES})
    return percentile_interval(gap.value, gaps), gap.reason or "", int(np.isnan(gaps).sum())


def _relations(sets: Mapping[str, Examples]) -> dict[str, Interval]:
    """What roles are to each other, by name."""
    found: dict[str, OfMeans] = {}
    for _, metric in FURTHER.items():
        if isinstance(metric, OfCell):
            found |= metric.measure(sets)
    return _intervals(found)


def _intervals(metrics: Mapping[str, OfMeans]) -> dict[str, Interval]:
    """Every metric with its interval; all are of the same examples."""
    if not metrics:
        return {}
    examples = len(next(iter(metrics.values())).terms)
    samples = resample_means(metrics, weights(examples, FURTHER_RESAMPLES, 0))
    return {name: percentile_interval(metric.value, samples[name]) for name, metric in metrics.items()}
