"""Correct stage: for each row of one split, whether a labeller is right, as the label of a two-class task."""

import numpy as np

from w2s_sweep.predictions import Predictions
from w2s_sweep.stages.context import Context
from w2s_sweep.stages.labels import publish, read_labels, with_probs


def correctness(labels: Predictions, on: str) -> Predictions:
    """The rows of `on`; class 1 where the most likely class is the true one. `truth` stays that of the task."""
    part = labels.on(on)
    right = (part.probs.argmax(1) == part.truth).astype(np.int64)
    return with_probs(part, np.eye(2)[right])


def run(context: Context) -> None:
    right = correctness(read_labels(context, "labels"), context.stage.settings["on"])
    publish(context, right, {"right": float(right.probs[:, 1].mean()) if len(right) else None})
