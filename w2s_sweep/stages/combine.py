"""Combine stage: the predictions of several supervisors as one."""

from collections.abc import Sequence

import numpy as np

from w2s_sweep.errors import DataError
from w2s_sweep.predictions import Array, Predictions
from w2s_sweep.stages.context import Context
from w2s_sweep.stages.labels import publish, read_labels, with_probs


def mean(members: Sequence[Array]) -> Array:
    """The mean probability; every member is float32 [examples, classes]."""
    return np.mean([m.astype(np.float64) for m in members], axis=0)


def vote(members: Sequence[Array]) -> Array:
    """The share of members whose most likely class it is; a tie within a member goes to the lower class."""
    return np.mean([np.eye(m.shape[1])[m.argmax(1)] for m in members], axis=0)


RULES = {"mean": mean, "vote": vote}


def combined(members: Sequence[Predictions], rule: str) -> Predictions:
    """One set of predictions out of several of the same examples in the same order."""
    first = members[0]
    if any(not np.array_equal(first.ids, other.ids) for other in members[1:]):
        raise DataError("the supervisors to combine do not predict the same examples.")
    return with_probs(first, RULES[rule]([m.probs for m in members]))


def run(context: Context) -> None:
    members = [read_labels(context, name) for name in context.stage.inputs]
    publish(context, combined(members, context.stage.settings["rule"]), {"members": len(members)})
