"""Held-out stage: of models that learnt from different rows, each row as those see it that did not learn from it."""

from collections.abc import Sequence

import numpy as np

from w2s_sweep.errors import DataError
from w2s_sweep.kinds.labels import HeldOut
from w2s_sweep.predictions import Array, Predictions
from w2s_sweep.runner.context import Context
from w2s_sweep.training.labels import publish, read_members, with_probs


def unseen_mean(members: Sequence[Predictions]) -> Array:
    """float64 [examples, classes]: the mean probability of the members that were not trained on an example.

    Members have the same examples in the same order. DataError where all of them were trained on one.
    """
    unseen = np.stack([np.isnan(m.seen).all(1) for m in members])
    if not unseen.any(0).all():
        raise DataError(f"method: all models were trained on {int((~unseen.any(0)).sum())} rows, which none can judge.")
    probs = np.stack([m.probs.astype(np.float64) for m in members])
    return (probs * unseen[:, :, None]).sum(0) / unseen.sum(0)[:, None]


def run(context: Context[HeldOut]) -> None:
    members = read_members(context)
    shared = set.intersection(*(set(m.ids.tolist()) for m in members))
    members = [m.take(np.flatnonzero([name in shared for name in m.ids])) for m in members]
    publish(context, with_probs(members[0], unseen_mean(members)), {"members": len(members)})
