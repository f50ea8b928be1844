"""Filter stage: only the labels of one split that their supervisor is surest of; a label that is dropped is absent."""

import numpy as np

from w2s_sweep.data.hashing import hashes_of
from w2s_sweep.kinds.labels import Filter
from w2s_sweep.predictions import Array, Predictions
from w2s_sweep.runner.context import Context
from w2s_sweep.training.labels import best, publish, read_labels


def surest(labels: Predictions, on: str, share: float, balanced: bool) -> Array:
    """bool [examples]: the `share` of the rows of `on` with the largest top probability, and all rows of other splits.

    `balanced`: the share of each predicted class by itself, so that a supervisor that is surer of one class does not
    drop the other. Ties are broken by a hash of the id.
    """
    keep = labels.splits != on
    sure, predicted, ties = labels.probs.max(1), labels.probs.argmax(1), hashes_of(labels.ids)
    here = np.flatnonzero(~keep)
    groups = [here[predicted[here] == c] for c in np.unique(predicted[here])] if balanced else [here]
    for group in groups:
        order = np.lexsort((ties[group], -sure[group]))
        keep[group[best(order, share)]] = True
    return keep


def run(context: Context[Filter]) -> None:
    settings = context.settings
    labels = read_labels(context, "labels")
    keep = surest(labels, settings.on, settings.share, settings.balanced)
    left = labels.take(np.flatnonzero(keep))
    publish(context, left, {"kept": len(left.on(settings.on)), "of": len(labels.on(settings.on))})
