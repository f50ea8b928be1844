"""Weigh stage: how much each example of a split counts for the next member of a boosted ensemble, by AdaBoost for any
number of classes (Zhu, Zou, Rosset and Hastie 2009, SAMME; EnsemW2S, arXiv 2410.04571, boosts supervisors with it).

Weights follow from the predictions of all members so far: nothing is carried from one round to the next.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2s_sweep.errors import DataError
from w2s_sweep.kinds.labels import Weigh
from w2s_sweep.predictions import Array, Predictions
from w2s_sweep.runner.context import Context
from w2s_sweep.training.examples import WEIGHTS
from w2s_sweep.training.labels import publish, read_members, with_probs


def boosting(wrong: Array, classes: int) -> tuple[Array, Array]:
    """(vote of each member, weights of the examples after the last) from bool [members, examples] in order of training.

    vote = log((1 - error) / error) + log(classes - 1) for the weighted error, which counts as half an example at least;
    a member no better than chance has no vote and leaves the weights as they are. Weights have mean 1.
    """
    n = wrong.shape[1]
    weights, says = np.ones(n), np.zeros(len(wrong))
    for i, missed in enumerate(wrong):
        error = min(max(float(weights[missed].sum()) / n, 0.5 / n), 1 - 0.5 / n)
        says[i] = max(0.0, np.log((1 - error) / error) + np.log(classes - 1))
        weights = weights * np.exp(says[i] * missed)
        weights *= n / weights.sum()
    return says, weights


def boost(members: Sequence[Predictions], on: str) -> tuple[Array, Predictions, Array]:
    """(vote of each member, the members' common rows of `on`, weights of those rows)."""
    parts = [member.on(on) for member in members]
    if not len(parts[0]) or any(not np.array_equal(parts[0].ids, part.ids) for part in parts[1:]):
        raise DataError(f"boosting: its members must predict the same rows of {on}, and there must be some.")
    wrong = np.stack([part.probs.argmax(1) != part.truth for part in parts])
    says, weights = boosting(wrong, parts[0].probs.shape[1])
    return says, parts[0], weights


def weighted_mean(members: Sequence[Predictions], says: Array) -> Predictions:
    """The mean of the members' probabilities, weighted by their votes; the plain mean where none has one."""
    share = says / says.sum() if says.sum() > 0 else np.full(len(says), 1 / len(says))
    return with_probs(members[0], np.tensordot(share, np.stack([m.probs.astype(np.float64) for m in members]), axes=1))


def run(context: Context[Weigh]) -> None:
    """Publishes the ensemble so far, and the weights for the next member."""
    members = read_members(context)
    says, rows, weights = boost(members, context.settings.on)
    table = pa.table({"id": pa.array(rows.ids.tolist(), pa.string()), "weight": pa.array(weights, pa.float32())})
    pq.write_table(table, context.out / WEIGHTS)
    summary = {"say of the last member": float(says[-1]), "largest weight": float(weights.max())}
    publish(context, weighted_mean(members, says), summary)
