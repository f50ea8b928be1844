"""Harden stage: the most likely class for certain; most papers since 2024 train on hard labels."""

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.kinds.labels import Harden
from w2s_sweep.runner.context import Context
from w2s_sweep.training.labels import publish, read_labels, with_probs


def harden(probs: Array) -> Array:
    """[examples, classes]: 1 for the most likely class; those that tie share it, as no vote decides between them."""
    top = (probs == probs.max(1, keepdims=True)).astype(np.float64)
    return top / top.sum(1, keepdims=True)


def run(context: Context[Harden]) -> None:
    labels = read_labels(context, "labels")
    hard = harden(labels.probs)
    publish(context, with_probs(labels, hard), {"ties": int((hard.max(1) < 1).sum())})
