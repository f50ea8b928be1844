"""Route stage: each row of one split has one of two labels, chosen by a model of where the first labels are right."""

import numpy as np

from w2s_sweep.kinds.labels import Route
from w2s_sweep.predictions import Array, Predictions
from w2s_sweep.runner.context import Context
from w2s_sweep.training.labels import places, publish_replaced, read_labels


def route(own: Predictions, weak: Predictions, knows: Predictions, on: str, threshold: float) -> tuple[Array, Array]:
    """(rows, probs): positions in `weak` on the split `on` whose label is replaced, and by what.

    A row takes the label `own` where class 1 of `knows` has at least the probability `threshold`.
    """
    here = np.flatnonzero(weak.splits == on)
    mine, judged = (
        places(labels.ids, weak.ids[here], f"route: the input {name!r}")
        for name, labels in (("own", own), ("knows", knows))
    )
    sure = knows.probs[judged, 1] >= threshold
    return here[sure], own.probs[mine[sure]]


def run(context: Context[Route]) -> None:
    settings = context.settings
    own, weak, knows = (read_labels(context, name) for name in Route.needs)
    rows, labels = route(own, weak, knows, settings.on, settings.threshold)
    counts = {"routed": len(rows), "of": len(weak.on(settings.on))}
    publish_replaced(context, weak, rows, labels, counts, ("own right where routed", "weak right where routed"))
