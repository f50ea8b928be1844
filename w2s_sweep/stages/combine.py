"""Combine stage: the predictions of several supervisors as one."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from w2s_sweep.errors import DataError
from w2s_sweep.kinds.labels import Combine
from w2s_sweep.predictions import SMALLEST, Array, Predictions
from w2s_sweep.runner.context import Context
from w2s_sweep.stages.weigh import boost, weighted_mean
from w2s_sweep.training.labels import publish, read_members, with_probs

BOOSTED_ON = "half_a"
"""Split that boosted members are trained and weighed on."""
ROUNDS = 10_000
"""Most steps of expectation maximisation; a few hundred are usual."""


def mean(members: Sequence[Array]) -> Array:
    """The mean probability; every member is float32 [examples, classes]."""
    return np.mean([m.astype(np.float64) for m in members], axis=0)


def vote(members: Sequence[Array]) -> Array:
    """The share of members whose most likely class it is; a tie within a member goes to the lower class."""
    return np.mean([np.eye(m.shape[1])[m.argmax(1)] for m in members], axis=0)


FORMULAS: Mapping[str, Callable[[Sequence[Array]], Array]] = {"mean": mean, "vote": vote}
"""Rules that look at the members' probabilities alone."""


def fit_stack(likelihood: Array) -> Array:
    """float64 [members]: the mixture on the simplex with the largest likelihood, of which there is one value.

    `likelihood` [members, examples]: the probability that each member gives to the truth. Expectation maximisation
    from equal weights: the logarithm is concave in them, so that it ends at the maximum.
    """
    floored = np.clip(likelihood.astype(np.float64), SMALLEST, None)
    share = np.full(len(floored), 1 / len(floored))
    for _ in range(ROUNDS):
        owed = share[:, None] * floored
        update = (owed / owed.sum(0)).mean(1)
        moved, share = float(np.abs(update - share).max()), update
        if moved < 1e-9:
            break
    return share


def stacking_weights(members: Sequence[Predictions]) -> Array:
    """Stacking weights (Wolpert 1992): fitted to the truth of the validation split, a budget that the rule spends."""
    parts = [m.on("validation") for m in members]
    return fit_stack(np.stack([p.probs[np.arange(len(p)), p.truth] for p in parts]))


def shares_of(members: Sequence[Predictions], rule: str) -> Array | None:
    """The weight of each member by a rule that has some; they need not sum to 1."""
    if rule == "learned":
        return stacking_weights(members)
    return boost(members, BOOSTED_ON)[0] if rule == "boosted" else None


def combine(members: Sequence[Predictions], rule: str, shares: Array | None = None) -> Predictions:
    """One set of predictions out of several of the same examples in the same order; `shares` as `shares_of` says."""
    first = members[0]
    if any(not np.array_equal(first.ids, other.ids) for other in members[1:]):
        raise DataError("the supervisors to combine do not predict the same examples.")
    if rule in FORMULAS:
        return with_probs(first, FORMULAS[rule]([m.probs for m in members]))
    shares = shares_of(members, rule) if shares is None else shares
    assert shares is not None, rule
    both = weighted_mean(members, shares)
    return both.take(np.flatnonzero(both.splits != BOOSTED_ON))


def run(context: Context[Combine]) -> None:
    rule = context.settings.rule
    members = read_members(context)
    shares = shares_of(members, rule)
    summary = {} if shares is None else {f"weight of member {i}": float(share) for i, share in enumerate(shares)}
    publish(context, combine(members, rule, shares), {"members": len(members)} | summary)
