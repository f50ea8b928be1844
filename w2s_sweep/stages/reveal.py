"""Reveal stage: the truth (or its opposite) for a budget of the rows of one split. The other rows keep the labels of
another stage, or have none. Which rows are revealed is nested: a larger budget contains a smaller one."""

import numpy as np

from w2s_sweep.data.hashing import hashes_of, ranks
from w2s_sweep.kinds.labels import Reveal
from w2s_sweep.predictions import Array, Predictions
from w2s_sweep.runner.context import Context
from w2s_sweep.training.examples import Rows, load_rows
from w2s_sweep.training.labels import best, publish, read_labels, with_probs


def truth_of(rows: Rows, on: str) -> Predictions:
    """The truth of all rows of a split, in the form of predictions."""
    index = rows.on(on)
    index.sort(key=lambda row: str(rows.ids[row]))
    truth = rows.truth[index]
    probs = np.eye(rows.classes, dtype=np.float32)[truth]
    return with_probs(Predictions(rows.ids[index], rows.splits[index], truth, probs, probs, probs), probs)


def truth_labels(truth: Array, classes: int, opposite: bool) -> Array:
    """float64 [rows, classes]: the truth as labels; or what contradicts it, equally any other class."""
    whole = np.eye(classes)[truth]
    return (1 - whole) / (classes - 1) if opposite else whole


def order_of(labels: Predictions, choose: str, seed: int) -> Array:
    """Positions in the order in which their truth is revealed: drawn with `seed`, or the least sure first."""
    drawn = ranks(hashes_of(labels.ids), seed, "reveal")
    return np.argsort(drawn, kind="stable") if choose == "random" else np.lexsort((drawn, labels.probs.max(1)))


def reveal(labels: Predictions, on: str, settings: Reveal) -> tuple[Predictions, int]:
    """`labels` with the truth where the budget goes, and on how many rows that is."""
    here = np.flatnonzero(labels.splits == on)
    chosen = here[best(order_of(labels.take(here), settings.choose, settings.seed), settings.share)]
    probs = labels.probs.astype(np.float64)
    probs[chosen] = truth_labels(labels.truth[chosen], probs.shape[1], settings.opposite)
    return with_probs(labels, probs), len(chosen)


def run(context: Context[Reveal]) -> None:
    settings, on = context.settings, context.settings.on
    if settings.split is None:
        labels, count = reveal(read_labels(context, "labels"), on, settings)
    else:
        whole = truth_of(load_rows(context.input("data"), settings.split), on)
        first = best(order_of(whole, settings.choose, settings.seed), settings.share)
        labels, count = whole.take(np.sort(first)), len(first)
    publish(context, labels, {"revealed": count})
