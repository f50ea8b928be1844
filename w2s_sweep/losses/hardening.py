"""The student's own predictions as hard targets [batch, classes], without gradient; equal rows get equal targets.

Rows sum to 1. Examples that a rule cannot tell apart share what there is to give, so a target never depends on the
order of the batch: which examples are neighbours is decided by the micro-batches, and the result must not be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from w2s_sweep.losses.softmax import wide

if TYPE_CHECKING:
    from torch import Tensor

    from w2s_sweep.losses.shapes import Scores

ROUNDS = 10
"""Sweeps over the classes that balance more than two of them."""


def hardest(scores: Scores) -> Scores:
    """1 for the class with the largest score; classes that tie share it equally."""
    scores = wide(scores.detach())
    top = (scores == scores.amax(-1, keepdim=True)).to(scores.dtype)
    return top / top.sum(-1, keepdim=True)


def harden_balanced(logits: Scores) -> Scores:
    """Hard predictions with every class equally often, whatever the student's bias (Burns et al. 2023, appendix A.4).

    Two classes: the threshold on the log-odds is the batch's median, and the mass of class 1 is exactly batch / 2.
    Examples at the threshold share equally what is missing: the middle one of an odd batch gets (.5, .5), so does every
    example of a constant batch, and a batch of one decides nothing. More classes: every class gets an offset on its
    logit such that it wins batch / k examples (rounded), found by `ROUNDS` sweeps over the classes; the classes are
    then equally frequent up to the rounding and what the sweeps leave. A batch of fewer than k decides nothing.
    """
    logits = wide(logits.detach())
    size, classes = logits.shape
    if classes > 2:
        return _with_shares(logits, logits.new_full((classes,), 1 / classes))
    margin = logits[:, 1] - logits[:, 0]
    threshold = margin.quantile(0.5)
    above, tied = margin > threshold, margin == threshold
    missing = size / 2 - above.sum()
    return _binary(above + tied * (missing / tied.sum().clamp_min(1)), logits)


def harden_matched(log_p: Scores, labels: Scores) -> Scores:
    """Hard predictions with every class about as often as in the weak labels of the batch.

    Two classes, as in the released code: class 0 where p_0 >= quantile(p_0 over the batch, mean(y_1)), with linear
    interpolation. More classes: offsets as in `harden_balanced`, with the mean labels as the shares.
    """
    log_p = wide(log_p.detach())
    means = labels.detach().to(log_p.dtype).mean(0).clamp(0, 1)
    if log_p.shape[1] > 2:
        return _with_shares(log_p, means)
    zero = log_p[:, 0].exp()
    return _binary((zero < zero.quantile(means[1])).to(log_p.dtype), log_p)


def _binary(ones: Tensor, like: Scores) -> Scores:
    """Rows (1 - ones, ones)."""
    target = like.new_zeros(like.shape)
    target[:, 0], target[:, 1] = 1 - ones, ones
    return target


def _with_shares(logits: Scores, shares: Tensor) -> Scores:
    """The class that wins after offsets that let class c win about `shares[c]` of the batch."""
    size, classes = logits.shape
    if size < classes:
        return logits.new_full(logits.shape, 1 / classes)
    return hardest(logits - class_offsets(logits, shares))


def class_offsets(logits: Scores, shares: Tensor) -> Tensor:
    """[classes]: what to take off the logits so that class c wins about `shares[c]` of the rows."""
    wins = [int(float(share) * len(logits) + 0.5) for share in shares]
    offsets = logits.new_zeros(len(wins))
    for _ in range(ROUNDS):
        for c, count in enumerate(wins):
            others = logits - offsets
            others[:, c] = float("-inf")
            offsets[c] = _cut(logits[:, c] - others.amax(1), count)
    return offsets


def _cut(values: Tensor, count: int) -> Tensor:
    """A number with the `count` largest of the values above it: half way between two neighbours, or past the end."""
    ordered = values.sort(descending=True).values
    if count == 0:
        return ordered[0] + 1
    return ordered[-1] - 1 if count == len(ordered) else (ordered[count - 1] + ordered[count]) / 2
