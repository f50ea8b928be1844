"""Three roles' test predictions -> the numbers of a cell. Rows are sorted by id: roles are compared by example."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from w2s_sweep.metrics import (
    MetricName,
    accuracy,
    agreement,
    auroc,
    auroc_influence,
    blind_spot,
    brier,
    capa,
    deception,
    ece,
    misfit,
    pgr,
)
from w2s_sweep.metrics.bootstrap import percentile_interval
from w2s_sweep.metrics.classification import hits
from w2s_sweep.metrics.resample import resampled, weights
from w2s_sweep.predictions import Array, Predictions
from w2s_sweep.results.rows import ROLES

RESAMPLES: Mapping[MetricName, int] = {"accuracy": 2000, "auroc": 1000}
"""Bootstrap resamples of a test set; an AUROC costs about thirty times as much as an accuracy."""
Score = Callable[[Array, Array], float | None]
SCORES: dict[str, Score] = {"accuracy": accuracy, "auroc": auroc, "brier": brier, "ece": ece}


@dataclass(frozen=True, eq=False)
class Examples:
    """Test predictions of one stage, sorted by example id."""

    ids: Array
    truth: Array
    probs: Array
    digest: str
    """Of ids and truth: equal for stages that can be compared."""

    @classmethod
    def of(cls, predictions: Predictions) -> "Examples":
        order = np.argsort(predictions.ids.astype(str), kind="stable")
        ids, truth = predictions.ids[order], predictions.truth[order]
        text = "\n".join(ids.tolist()).encode() + truth.tobytes()
        return cls(ids, truth, predictions.probs[order], hashlib.sha256(text).hexdigest())


@dataclass(frozen=True)
class Known:
    """What depends on one stage alone."""

    scores: dict[str, float | None]
    samples: dict[str, Array]
    """Metric -> its value on every bootstrap resample of the test set."""
    parts: dict[str, Array | None]
    """Metric -> what each example adds to it: 0 or 1 for accuracy, its influence on an AUROC (None where undefined)."""


@dataclass
class Scorer:
    """Scores cells; what depends on one stage alone is computed once however many cells use the stage."""

    known: dict[str, Known] = field(default_factory=dict[str, Known])

    def score(self, keys: Mapping[str, str], sets: Mapping[str, Examples], metric: MetricName) -> dict[str, Any]:
        """Fields of a finished `Row` from the stage key and the (same) examples of each role.

        The intervals are those of `metrics.paired_bootstrap`.
        """
        known = {role: self.of_stage(keys[role], sets[role], metric) for role in ROLES}
        values = {role: known[role].scores[metric] for role in ROLES}
        weak, student, ceiling = (known[role].samples[metric] for role in ROLES)
        room = ceiling - weak
        gaps = np.divide(student - weak, room, out=np.full(len(room), np.nan), where=room > 0)
        gap = pgr(**values)
        return {
            "n_test": len(sets["weak"].ids),
            "classes": sets["weak"].probs.shape[1],
            **{role: percentile_interval(values[role], known[role].samples[metric]) for role in ROLES},
            "pgr": percentile_interval(gap.value, gaps),
            "pgr_undefined": gap.reason or "",
            "details": _details(sets, known) | {"undefined_resamples": int(np.isnan(gaps).sum())},
        }

    def of_stage(self, key: str, examples: Examples, metric: MetricName) -> Known:
        if key not in self.known:
            scores = {name: score(examples.probs, examples.truth) for name, score in SCORES.items()}
            self.known[key] = Known(scores, {}, {})
        known = self.known[key]
        if metric not in known.samples:
            drawn = weights(len(examples.ids), RESAMPLES[metric], 0)
            known.samples[metric] = resampled(metric, examples.probs, examples.truth, drawn)
            part = hits if metric == "accuracy" else auroc_influence
            known.parts[metric] = part(examples.probs, examples.truth)
        return known


def _details(sets: Mapping[str, Examples], known: Mapping[str, Known]) -> dict[str, float | None]:
    """All further metrics, by name."""
    found = {f"{name}/{role}": known[role].scores[name] for name in SCORES for role in ROLES}
    for name in ("accuracy", "auroc"):
        found[f"pgr/{name}"] = pgr(*(known[role].scores[name] for role in ROLES)).value
    student, weak, truth = sets["student"].probs, sets["weak"].probs, sets["weak"].truth
    ceiling = sets["ceiling"].probs
    shared = agreement(student, weak, truth)
    if "reference" in sets:
        areas = deception(student, sets["reference"].probs, weak, ceiling, truth)
        found |= {"conflict_tax": areas.tax, "deception": areas.score, "deception/expected": areas.expected}
    return found | {
        "agreement": shared.overall,
        "agreement/supervisor_right": shared.supervisor_right,
        "agreement/supervisor_wrong": shared.supervisor_wrong,
        "correction": shared.correction,
        "blind_spot": blind_spot(student, weak, ceiling, truth),
        "misfit": misfit(student, weak),
        "gain/brier": _gain(known["weak"].scores["brier"], known["student"].scores["brier"]),
        "capa": capa(student, weak, truth),
    }


def _gain(weak: float | None, student: float | None) -> float | None:
    """By how much the student's Brier score is better; theory expects about the misfit (arXiv 2405.15116)."""
    return None if weak is None or student is None else weak - student
