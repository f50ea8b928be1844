"""Refine stage: labels of a split that a comparison finds worse than a proposal are replaced by it."""

import numpy as np

from w2s_sweep.kinds.labels import Refine
from w2s_sweep.predictions import SMALLEST, Array, Predictions
from w2s_sweep.runner.context import Context
from w2s_sweep.training.labels import places, publish_replaced, read_labels


def preference(judge: Array, proposed: Array, current: Array) -> Array:
    """float64 [rows]: the probability that the class proposed is right, if one of it and the current class is.

    `judge`: probabilities [rows, classes]; `proposed`, `current`: classes [rows].
    """
    rows, floored = np.arange(len(judge)), np.maximum(judge.astype(np.float64), SMALLEST)
    new, old = floored[rows, proposed], floored[rows, current]
    return new / (new + old)


def accept(scores: Array, most: float) -> Array:
    """bool [rows]: the scores above 1/2 that are among about the share `most` of the largest.

    Ye, Laidlaw and Steinhardt 2025 (arXiv 2501.07886, Algorithm 1), with the threshold of their code: max(1/2, the
    quantile 1 - most of the scores of all rows whose proposal differs).
    """
    return scores > max(0.5, float(np.quantile(scores, 1 - most))) if len(scores) else np.zeros(0, dtype=bool)


def refine(weak: Predictions, own: Predictions, judge: Predictions, on: str, most: float) -> tuple[Array, Array, int]:
    """(rows, probs, differing): positions in `weak` on the split `on` whose label is replaced, by what, of how many."""
    here = np.flatnonzero(weak.splits == on)
    new, judged = (
        labels.probs[places(labels.ids, weak.ids[here], f"refine: the input {name!r}")]
        for name, labels in (("own", own), ("knows", judge))
    )
    proposed, current = new.argmax(1), weak.probs[here].argmax(1)
    differ = np.flatnonzero(proposed != current)
    scores = preference(judged[differ], proposed[differ], current[differ])
    taken = differ[accept(scores, most)]
    return here[taken], new[taken], len(differ)


def run(context: Context[Refine]) -> None:
    settings = context.settings
    own, weak, judge = (read_labels(context, name) for name in Refine.needs)
    rows, labels, differing = refine(weak, own, judge, settings.on, settings.max_replace)
    counts = {"replaced": len(rows), "differing": differing, "of": len(weak.on(settings.on))}
    right = "proposals right where replaced", "labels right where replaced"
    publish_replaced(context, weak, rows, labels, counts, right)
