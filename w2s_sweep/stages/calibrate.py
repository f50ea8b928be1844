"""Calibrate stage: the raw answers of a prompted model as predictions. A model that prefers one of its words whatever
the text is corrected by one number a class; no label is ever looked at."""

import numpy as np
import torch
from safetensors.numpy import load_file

from w2s_sweep.errors import DataError
from w2s_sweep.kinds.labels import Calibrate
from w2s_sweep.losses.hardening import class_offsets
from w2s_sweep.predictions import Array
from w2s_sweep.runner.context import Context
from w2s_sweep.stages.prompt import ANSWERS
from w2s_sweep.training.examples import load_rows, predictions_of
from w2s_sweep.training.labels import publish, with_probs


def log_softmax(logits: Array) -> Array:
    wide = logits.astype(np.float64)
    wide = wide - wide.max(1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(1, keepdims=True))


def contextual(logits: Array, blank: Array) -> Array:
    """Logits [n, classes] under which the mean answer `blank` [m, classes] to texts without content is uniform.

    Zhao et al. 2021 (arXiv 2102.09690), section 5: probabilities times diag(p)^-1, p the mean over these texts.
    """
    return log_softmax(logits) - np.log(np.exp(log_softmax(blank)).mean(0))


def median(logits: Array, among: Array) -> Array:
    """Logits [n, classes] under which each class is the answer to as many of the rows `among` (bool [n]), as in a
    balanced task. Of two classes: half of them are class 1."""
    said, classes = log_softmax(logits), logits.shape[1]
    if classes > 2:
        return said - class_offsets(torch.from_numpy(said[among]), torch.full((classes,), 1 / classes)).numpy()
    middle = np.median(said[among, 1] - said[among, 0])
    return said + np.array([middle / 2, -middle / 2])


def run(context: Context[Calibrate]) -> None:
    settings = context.settings
    rows = load_rows(context.input("data"), settings.split)
    raw = load_file(context.input("answers") / ANSWERS)
    asked, logits = raw["rows"], raw["logits"]
    if logits.shape[1] != rows.classes:
        raise DataError(f"dataset.prompt.words: {logits.shape[1]} words for {rows.classes} classes. Give one a class.")
    if settings.calibrate == "contextual":
        logits = contextual(logits, raw["blank"])
    elif settings.calibrate == "median":
        logits = median(logits, rows.splits[asked] != "test")
    predictions = predictions_of(rows, asked.tolist(), log_softmax(logits), {})
    if settings.harden:
        predictions = with_probs(predictions, np.eye(rows.classes)[predictions.probs.argmax(1)])
    answers = predictions.probs.argmax(1)
    shares = {f"share of class {c}": float((answers == c).mean()) for c in range(1, rows.classes)}
    publish(context, predictions, shares)
