"""Three roles' test predictions -> the numbers of a cell. Rows are sorted by id: roles are compared by example."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from w2s_sweep.metrics import (
    Interval,
    MetricName,
    OfMeans,
    agreement,
    auroc_influence,
    blind_spot,
    brier,
    capa,
    deception,
    ece,
    gain,
    misfit,
    pgr,
    resampled_means,
)
from w2s_sweep.metrics.bootstrap import gaps_of, measure, percentile_interval
from w2s_sweep.metrics.classification import hits
from w2s_sweep.metrics.means import share
from w2s_sweep.metrics.resample import resampled, weights
from w2s_sweep.predictions import Array, Predictions
from w2s_sweep.results.rows import ROLES

RESAMPLES: Mapping[MetricName, int] = {"accuracy": 2000, "auroc": 1000}
"""Bootstrap resamples of a test set; an AUROC costs about thirty times as much as an accuracy."""
METRICS: tuple[MetricName, ...] = ("accuracy", "auroc")
"""The metrics that a PGR may be of."""
DRAWS = RESAMPLES["auroc"]
"""Resamples for all further metrics."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Test predictions of one stage, sorted by example id."""

    ids: Array
    truth: Array
    probs: Array
    digest: str
    """Of ids and truth: equal for stages that can be compared."""
    legal: OfMeans | None = None
    """Share of generated answers that are possible ones, among those of which it is known; None where none are."""

    @classmethod
    def of(cls, predictions: Predictions, legal: Mapping[str, bool] | None = None) -> "Examples":
        order = np.argsort(predictions.ids.astype(str), kind="stable")
        ids, truth = predictions.ids[order], predictions.truth[order]
        text = "\n".join(ids.tolist()).encode() + truth.tobytes()
        told = [(legal or {}).get(str(name)) for name in ids]
        known = np.array([said is not None for said in told])
        possible = share(np.array([said is True for said in told]), known) if known.any() else None
        return cls(ids, truth, predictions.probs[order], hashlib.sha256(text).hexdigest(), possible)


@dataclass(frozen=True)
class Known:
    """What depends on one stage alone."""

    scores: dict[MetricName, float | None]
    samples: dict[MetricName, Array]
    """Metric -> its value on every bootstrap resample of the test set."""
    further: dict[str, Interval]
    """Brier score and ECE; of generated answers how many are possible ones."""
    examples: Examples
    parts: dict[MetricName, Array | None] = field(default_factory=dict[MetricName, "Array | None"])

    def part(self, metric: MetricName) -> Array | None:
        """What each example adds to the metric: 0 or 1 for accuracy, its influence on an AUROC (None: undefined)."""
        if metric not in self.parts:
            of = hits if metric == "accuracy" else auroc_influence
            self.parts[metric] = of(self.examples.probs, self.examples.truth)
        return self.parts[metric]


@dataclass
class Scorer:
    """Scores cells; what depends on one stage alone is computed once however many cells use the stage."""

    known: dict[str, Known] = field(default_factory=dict[str, Known])

    def score(self, keys: Mapping[str, str], sets: Mapping[str, Examples], metric: MetricName) -> dict[str, Any]:
        """Fields of a finished `Row` from the stage key and the (same) examples of each role.

        The intervals are those of `metrics.paired_bootstrap`.
        """
        known = {role: self.of_stage(keys[role], sets[role]) for role in ROLES}
        gaps = {name: _gap(known, name) for name in METRICS}
        details = {
            f"{name}/{role}": percentile_interval(known[role].scores[name], known[role].samples[name])
            for name in METRICS
            for role in ROLES
        }
        details |= {f"{name}/{role}": found for role in ROLES for name, found in known[role].further.items()}
        details |= {f"pgr/{name}": interval for name, (interval, _, _) in gaps.items()} | _related(sets)
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

    def of_stage(self, key: str, examples: Examples) -> Known:
        if key not in self.known:
            probs, truth = examples.probs, examples.truth
            scores: dict[MetricName, float | None] = {m: measure(m, probs, truth) for m in METRICS}
            samples: dict[MetricName, Array] = {
                m: resampled(m, probs, truth, weights(len(truth), RESAMPLES[m], 0)) for m in METRICS
            }
            further = {"brier": brier(probs, truth), "ece": ece(probs, truth)}
            further |= {} if examples.legal is None else {"legal": examples.legal}
            self.known[key] = Known(scores, samples, _intervals(further), examples)
        return self.known[key]


def _gap(known: Mapping[str, Known], metric: MetricName) -> tuple[Interval, str, int]:
    """(PGR of the metric, why it is undefined or "", resamples without one)."""
    gaps = gaps_of(**{role: known[role].samples[metric] for role in ROLES})
    gap = pgr(**{role: known[role].scores[metric] for role in ROLES})
    return percentile_interval(gap.value, gaps), gap.reason or "", int(np.isnan(gaps).sum())


def _related(sets: Mapping[str, Examples]) -> dict[str, Interval]:
    """What roles are to each other, by name."""
    student, weak, ceiling = (sets[role].probs for role in ("student", "weak", "ceiling"))
    truth = sets["weak"].truth
    shared = agreement(student, weak, truth)
    found = {
        "agreement": shared.overall,
        "agreement/supervisor_right": shared.supervisor_right,
        "agreement/supervisor_wrong": shared.supervisor_wrong,
        "correction": shared.correction,
        "blind_spot": blind_spot(student, weak, ceiling, truth),
        "misfit": misfit(student, weak),
        "gain/brier": gain(student, weak, truth),
        "capa": capa(student, weak, truth),
    }
    if "reference" in sets:
        areas = deception(student, sets["reference"].probs, weak, ceiling, truth)
        found |= {"conflict_tax": areas.tax, "deception": areas.score, "deception/expected": areas.expected}
    return _intervals(found)


def _intervals(metrics: Mapping[str, OfMeans]) -> dict[str, Interval]:
    """Every metric with its interval; all are of the same examples."""
    examples = len(next(iter(metrics.values())).terms)
    samples = resampled_means(metrics, weights(examples, DRAWS, 0))
    return {name: percentile_interval(metric.value, samples[name]) for name, metric in metrics.items()}
