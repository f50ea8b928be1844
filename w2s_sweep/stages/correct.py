"""Correct stage: for each row of one split, and of validation, whether a supervisor is right, as the label of a
two-class task. A model that predicts where the supervisor is right trains on it, and is stopped early by it."""

import numpy as np

from w2s_sweep.kinds.labels import Correct
from w2s_sweep.predictions import Predictions
from w2s_sweep.runner.context import Context
from w2s_sweep.training.labels import publish, read_labels, with_probs


def correctness(labels: Predictions, on: str) -> Predictions:
    """The rows of `on` and validation; class 1 where the most likely class is true. `truth` stays that of the task."""
    part = labels.take(np.flatnonzero(np.isin(labels.splits, (on, "validation"))))
    right = (part.probs.argmax(1) == part.truth).astype(np.int64)
    return with_probs(part, np.eye(2)[right])


def run(context: Context[Correct]) -> None:
    right = correctness(read_labels(context, "labels"), context.settings.on)
    here = right.on(context.settings.on)
    publish(context, right, {"right": float(here.probs[:, 1].mean()) if len(here) else None})
