"""Elicit stage: labels for one split out of a model's zero-shot answers and its frozen features, by internal coherence.
Other splits keep the zero-shot labels.

It costs no pass through the model, unlike the paper's search (arXiv 2506.10139), which is `stages.annotate`: here a
label is predicted from the others by ridge regression on the model's frozen features, with the model's own zero-shot
log-odds as prior, and all rows begin with their zero-shot label. The best labelling met is kept; consistency is never
violated, so it has no weight of its own.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow.parquet as pq

from w2s_sweep.data.hashing import hashes_of, ranks
from w2s_sweep.kinds.labels import Elicit
from w2s_sweep.predictions import Array
from w2s_sweep.runner.context import Context
from w2s_sweep.training.coherence import RidgeJudge, coherence, consistent, middle, search
from w2s_sweep.training.labels import features_of, publish, read_labels, share_right, with_probs

MOST = 4096
"""Rows that are searched over, drawn by hash where there are more: memory grows with their square."""


def groups_of(context: Context[Elicit], ids: Array) -> list[list[int]]:
    """Positions in `ids` of the rows of each group of several."""
    table = pq.read_table(context.input("data") / "examples.parquet", columns=["id", "group"])
    group = dict(zip(table["id"].to_pylist(), table["group"].to_pylist(), strict=True))
    found: dict[str, list[int]] = {}
    for row, name in enumerate(ids):
        found.setdefault(group[str(name)], []).append(row)
    return [rows for rows in found.values() if len(rows) > 1]


def search_labels(
    features: Array,
    prior: Array,
    settings: Elicit,
    groups: Sequence[Sequence[int]] = (),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Array, Array, Array]:
    """(signs before, signs after, log-odds after) of a search from the prior log-odds [n]."""
    judge = RidgeJudge(features, settings.prior * prior, settings.penalty)
    balanced = settings.groups == "balanced"
    before = consistent(prior, [range(len(prior))] if balanced else groups)
    steps = settings.sweeps * len(before)
    after = search(
        judge,
        before,
        value=coherence,
        alpha=settings.alpha,
        steps=steps,
        seed=settings.seed,
        groups=groups,
        balanced=balanced,
        on_step=lambda state: on_progress(state.step, steps),
    )
    odds = judge.odds(after)
    return before, after, odds - middle(odds, after, balanced)


def run(context: Context[Elicit]) -> None:
    settings = context.settings
    said = read_labels(context, "labels")
    here = np.flatnonzero(said.splits == settings.on)
    drawn = np.argsort(ranks(hashes_of(said.ids[here]), settings.seed, "elicit"), kind="stable")[:MOST]
    searched = here[np.sort(drawn)]
    labels = said.take(searched)
    prior = (labels.logits[:, 1] - labels.logits[:, 0]).astype(np.float64)
    groups = groups_of(context, labels.ids) if settings.groups == "halves" else []
    features = features_of(context, labels.ids)
    before, after, odds = search_labels(features, prior, settings, groups, context.progress_or_stop)
    one = said.probs[:, 1].astype(np.float64)
    one[searched] = 1 / (1 + np.exp(-odds))
    if settings.harden:
        one = (one > 0.5).astype(np.float64)
        one[searched] = after > 0
    keep = np.flatnonzero((said.splits != settings.on) | np.isin(np.arange(len(said)), searched))
    right = {name: share_right(s > 0, labels.truth) for name, s in (("before", before), ("after", after))}
    publish(
        context,
        with_probs(said, np.stack([1 - one, one], 1)).take(keep),
        {"turned over": int((before != after).sum()), "coherence": coherence(odds, after) / len(after)}
        | {f"right {name}": share for name, share in right.items()},
    )
