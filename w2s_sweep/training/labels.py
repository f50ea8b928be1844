"""What the stages that make labels out of labels share: they read predictions and publish predictions, so whatever can
be trained on, scored or shown for a model can be for them. They train nothing: no row has a `seen` label."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from w2s_sweep.errors import DataError
from w2s_sweep.kinds.base import InputName, Json, Kind
from w2s_sweep.predictions import FILE, SMALLEST, Array, Predictions, read_predictions, write_predictions
from w2s_sweep.runner.context import Context
from w2s_sweep.training.examples import load_ids, scores


def read_labels(context: Context[Kind], name: InputName) -> Predictions:
    """The predictions of the input stage `name`, sorted by example id."""
    return _read_sorted(context.input(name))


def read_members(context: Context[Kind]) -> list[Predictions]:
    """The predictions of all inputs of a stage of equals, each sorted by example id."""
    return [_read_sorted(folder) for folder in context.members()]


def _read_sorted(folder: Path) -> Predictions:
    found = read_predictions(folder / FILE)
    return found.take(np.argsort(found.ids.astype(str), kind="stable"))


def with_probs(predictions: Predictions, probs: Array) -> Predictions:
    """The same examples with other probabilities, and logits whose softmax they are (0 counts as `SMALLEST`)."""
    whole = probs / probs.sum(1, keepdims=True)
    logits = np.log(np.clip(whole, SMALLEST, None))
    return replace(predictions, probs=whole.astype(np.float32), logits=logits.astype(np.float32))


def publish(context: Context[Kind], predictions: Predictions, summary: Mapping[str, Json]) -> None:
    """Write the labels of a stage and how right they are."""
    untrained = replace(predictions, seen=np.full(predictions.probs.shape, np.nan, dtype=np.float32))
    write_predictions(context.out / FILE, untrained)
    context.finish({"examples": len(predictions)} | dict(summary) | scores(untrained))


def publish_replaced(
    context: Context[Kind],
    labels: Predictions,
    rows: Array,
    probs: Array,
    counts: Mapping[str, Json],
    right: tuple[str, str],
) -> None:
    """Publish labels whose probabilities are others at some positions.

    `right`: what the shares are called of the new labels there, and of the old ones, that are true.
    """
    whole = labels.probs.astype(np.float64)
    whole[rows] = probs
    shares = {
        name: share_right(which[rows].argmax(1), labels.truth[rows])
        for name, which in zip(right, (whole, labels.probs), strict=True)
    }
    publish(context, with_probs(labels, whole), {**counts, **shares})


def places(among: Sequence[Any] | Array, ids: Array, what: str) -> Array:
    """int64 [ids]: where examples stand among others, by id. DataError where some do not, which begins with `what`."""
    place = {str(name): row for row, name in enumerate(among)}
    missing = sum(str(name) not in place for name in ids)
    if missing:
        raise DataError(f"{what} says nothing of {missing} of {len(ids)} rows.")
    return np.array([place[str(name)] for name in ids], dtype=np.int64)


def share_right(labels: Array, truth: Array) -> float | None:
    """Share of the labels that are true, of those whose truth is known; None where it is of none."""
    known = truth >= 0
    return float((labels == truth)[known].mean()) if known.any() else None


def features_of(context: Context[Kind], ids: Array) -> Array:
    """float32 [ids, width]: the rows of the input `features` that belong to the examples `ids`.

    Of a pair it is the first text's minus the second's, which is what a linear reward sees of it.
    """
    stored = load_file(context.input("features") / "features.safetensors")
    rows = places(load_ids(context.input("data")), ids, "the dataset")
    features = stored["features"][rows]
    return features - stored["features_other"][rows] if "features_other" in stored else features


def best(order: Array, share: float) -> Array:
    """The first `share` of `order`, rounded, at least one where there is any."""
    return order[: max(1, round(share * len(order)))]
