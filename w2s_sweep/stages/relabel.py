"""Relabel stage: the labels of one split smoothed over neighbours in the feature space of a model."""

import numpy as np

from w2s_sweep.data.hashing import hashes_of, ranks
from w2s_sweep.kinds.labels import Relabel
from w2s_sweep.predictions import Array
from w2s_sweep.runner.context import Context
from w2s_sweep.training.labels import features_of, publish, read_labels, with_probs

CHUNK = 1024
"""Rows whose neighbours are looked for at a time: memory is CHUNK x examples."""


def directions(features: Array) -> Array:
    """Features [n, width] centred and scaled by dimension, then to length 1: their products are cosines."""
    wide = features.astype(np.float64)
    scale = wide.std(0)
    wide = (wide - wide.mean(0)) / np.where(scale > 1e-6, scale, 1.0)
    return wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)


def neighbour_mean(features: Array, labels: Array, k: int, ties: Array) -> Array:
    """float64 [n, classes]: the mean label of each row's k nearest other rows by cosine (of all if they are fewer).

    `ties`: sort keys that decide between equally near rows.
    """
    n = len(labels)
    k = min(k, n - 1)
    if k < 1:
        return labels.astype(np.float64)
    order = np.argsort(ties, kind="stable")
    unit, out = directions(features)[order], np.empty(labels.shape)
    for start in range(0, n, CHUNK):
        near = np.round(unit[start : start + CHUNK] @ unit.T, 9)
        near[np.arange(len(near)), np.arange(start, start + len(near))] = -np.inf
        found = np.argsort(-near, axis=1, kind="stable")[:, :k]
        out[order[start : start + CHUNK]] = labels[order][found].astype(np.float64).mean(1)
    return out


def run(context: Context[Relabel]) -> None:
    settings = context.settings
    labels = read_labels(context, "labels")
    here = np.flatnonzero(labels.splits == settings.on)
    features = features_of(context, labels.ids[here])
    ties = ranks(hashes_of(labels.ids[here]), 0, "neighbours")
    smooth = neighbour_mean(features, labels.probs[here], settings.k, ties)
    probs = labels.probs.astype(np.float64)
    probs[here] = (1 - settings.weight) * probs[here] + settings.weight * smooth
    flipped = int((probs[here].argmax(1) != labels.probs[here].argmax(1)).sum())
    publish(context, with_probs(labels, probs), {"flipped": flipped})
