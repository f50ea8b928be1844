"""Temper stage: labels at another temperature, given or fitted to the truth of validation rows.

With p what a supervisor says, its labels become softmax(log p / T) (Guo et al. 2017, "On Calibration of Modern Neural
Networks", arXiv 1706.04599, section 4.2: the logits that they scale are log p up to a constant that no softmax sees).
"""

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.errors import DataError
from w2s_sweep.kinds.labels import Temper
from w2s_sweep.predictions import SMALLEST, Predictions, softmax
from w2s_sweep.runner.context import Context
from w2s_sweep.training.labels import publish, read_labels, with_probs

LOWEST, HIGHEST = 0.05, 20.0
"""Temperatures that are tried: labels that are never wrong on validation rows would want 0."""
ROUNDS = 60
"""Of a golden-section search: the logarithm of the temperature is then known to 1e-11."""


def temper(probs: Array, temperature: float) -> Array:
    """float32 [examples, classes]: softmax(log p / temperature), where 0 counts as `SMALLEST`."""
    return softmax(np.log(np.clip(probs.astype(np.float64), SMALLEST, None)) / temperature)


def fit(probs: Array, truth: Array) -> float:
    """The temperature at which `truth` is likeliest: the loss is convex in its inverse, so there is one minimum."""
    logs = np.log(np.clip(probs.astype(np.float64), SMALLEST, None))
    rows = np.arange(len(truth))

    def loss(inverse: float) -> float:
        scaled = logs * inverse
        top = scaled.max(1)
        return float((np.log(np.exp(scaled - top[:, None]).sum(1)) + top - scaled[rows, truth]).mean())

    share = (np.sqrt(5) - 1) / 2
    low, high = 1 / HIGHEST, 1 / LOWEST
    for _ in range(ROUNDS):
        left, right = high - share * (high - low), low + share * (high - low)
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    return 2 / (low + high)


def temperature_of(labels: Predictions) -> float:
    """That of the rows of validation. DataError where none of them has a label and a truth."""
    part = labels.on("validation")
    known = part.truth >= 0
    if not known.any():
        raise DataError(
            "supervisor.calibrate: no validation row has a label of the supervisor and a truth. Give the file labels "
            "of validation rows, or set supervisor.temperature=NUMBER."
        )
    return fit(part.probs[known], part.truth[known])


def run(context: Context[Temper]) -> None:
    labels, given = read_labels(context, "labels"), context.settings.temperature
    temperature = temperature_of(labels) if given is None else given
    publish(context, with_probs(labels, temper(labels.probs, temperature)), {"temperature": temperature})
