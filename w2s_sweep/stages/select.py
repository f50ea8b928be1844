"""Select stage: the rows of one split that are easy, hard, or both ("overlap") for a supervisor, as detected by Shin,
Cooper and Sala (2024, arXiv 2412.03881); only the labels of the wanted part are kept."""

import numpy as np

from w2s_sweep.kinds.labels import Select
from w2s_sweep.predictions import Array
from w2s_sweep.runner.context import Context
from w2s_sweep.training.labels import features_of, publish, read_labels

CHUNK = 1024
"""Rows that are compared at a time: memory is CHUNK x hard rows."""


def change_point(values: Array) -> float:
    """Where sorted `values` change most: the least value above the cut with the smallest sum of squared errors from the
    means of both sides. With fewer than two values there is nothing to cut: the least one."""
    ordered = np.sort(values.astype(np.float64))
    n = len(ordered)
    if n < 2:
        return float(ordered[0])
    below = np.arange(1, n)
    total, left = ordered.sum(), ordered.cumsum()[:-1]
    explained = left**2 / below + (total - left) ** 2 / (n - below)
    return float(ordered[1 + int(explained.argmax())])


def alignment(features: Array, others: Array) -> Array:
    """float64 [n]: the largest absolute cosine of each row with one of `others`; both are [rows, width]."""
    unit, far = (f / np.maximum(np.linalg.norm(f, axis=1, keepdims=True), 1e-12) for f in (features, others))
    parts = [np.abs(unit[i : i + CHUNK] @ far.T).max(1) for i in range(0, len(unit), CHUNK)]
    return np.concatenate(parts)


def parts_of(probs: Array, features: Array) -> Array:
    """hard, easy or overlap for each row of soft labels [n, classes] with strong features [n, width].

    hard: the label is unsure, below the change point of the top probability. overlap: the label is sure, and in the
    strong model's features the row is close to a hard one, above the change point of that closeness. easy: the rest.
    """
    sure = probs.max(1)
    hard = sure < change_point(sure)
    parts = np.where(hard, "hard", "easy").astype("<U7")
    rest = np.flatnonzero(~hard)
    if hard.any() and len(rest):
        wide = features.astype(np.float64)
        near = np.round(alignment(wide[rest], wide[hard]), 9)
        parts[rest[near >= change_point(near)]] = "overlap"
    return parts


def run(context: Context[Select]) -> None:
    settings = context.settings
    labels = read_labels(context, "labels")
    here = np.flatnonzero(labels.splits == settings.on)
    parts = parts_of(labels.probs[here], features_of(context, labels.ids[here]))
    keep = labels.splits != settings.on
    keep[here[parts == settings.part]] = True
    counts = {f"rows {name}": int((parts == name).sum()) for name in ("easy", "overlap", "hard")}
    publish(context, labels.take(np.flatnonzero(keep)), counts)
