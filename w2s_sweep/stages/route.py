"""Route stage: each row of one split has one of two labels, chosen by a model of where the first labels are right."""

import numpy as np

from w2s_sweep.errors import DataError
from w2s_sweep.kinds.labels import Route
from w2s_sweep.predictions import Array, Predictions
from w2s_sweep.runner.context import Context
from w2s_sweep.training.labels import publish, read_labels, share_right, with_probs


def route(own: Predictions, weak: Predictions, knows: Predictions, on: str, threshold: float) -> tuple[Array, Array]:
    """(rows, probs): positions in `weak` on the split `on` whose label is replaced, and by what.

    A row takes the label `own` where class 1 of `knows` has at least the probability `threshold`.
    """
    here = np.flatnonzero(weak.splits == on)
    mine, judged = (_places(labels, weak.ids[here], what) for labels, what in ((own, "own"), (knows, "knows")))
    sure = knows.probs[judged, 1] >= threshold
    return here[sure], own.probs[mine[sure]]


def _places(labels: Predictions, ids: Array, what: str) -> Array:
    place = {str(name): row for row, name in enumerate(labels.ids)}
    missing = sum(str(name) not in place for name in ids)
    if missing:
        raise DataError(f"route: the input {what!r} says nothing of {missing} of {len(ids)} rows.")
    return np.array([place[str(name)] for name in ids], dtype=np.int64)


def run(context: Context[Route]) -> None:
    settings = context.settings
    own, weak, knows = (read_labels(context, name) for name in Route.needs)
    rows, labels = route(own, weak, knows, settings.on, settings.threshold)
    probs = weak.probs.astype(np.float64)
    probs[rows] = labels
    scores = {
        f"{name} right where routed": share_right(p[rows].argmax(1), weak.truth[rows])
        for name, p in (("own", probs), ("weak", weak.probs))
    }
    publish(context, with_probs(weak, probs), {"routed": len(rows), "of": len(weak.on(settings.on))} | scores)
