"""Pairs of written answers, and the learner that prefers one to the other: direct preference optimization (Rafailov et
al. 2023, arXiv 2305.18290, equation 7)."""

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from w2s_sweep.config.finetune import Precision
from w2s_sweep.models.device import autocast
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.training.answers import Drawn
from w2s_sweep.training.learners import TransformerLearner


def pair_of(own: Sequence[Drawn], others: Sequence[Drawn], least: float) -> tuple[Drawn, Drawn] | None:
    """(a preferred answer, a rejected one) of one text, of samples of a model and of its supervisor.

    Preferred: the first of its own that ended and gives the answer that most of them give, where at least the share
    `least` of them does. Rejected: the first of the supervisor's that answers otherwise, or nothing; without one the
    first of its own that does. None where there is no such pair. The code released with Yang et al. 2024 prefers the
    supervisor's where that gives the same answer (docs/SWEEPS.md).
    """
    counts = Counter(one.answer for one in own if one.answer is not None)
    if not counts:
        return None
    answer, count = counts.most_common(1)[0]
    preferred = [one for one in own if one.answer == answer and one.ended]
    rejected = [one for one in (*others, *own) if one.answer != answer]
    # Divided, as the agree stage does: 0.55 * 100 is more than 55.
    return (preferred[0], rejected[0]) if count / len(own) >= least and preferred and rejected else None


class PreferenceLearner(TransformerLearner[LanguageModel]):
    """Rows of two answers to one text in, their implicit rewards out as logits [of the rejected, of the preferred]:
    beta times how much likelier the answer has become than it was before training, in nats.

    The cross-entropy of their softmax against the second is -log sigma(r(preferred) - r(rejected)), the loss of DPO.
    `pairs`: row -> tokens of the text with either answer after it; `starts`: where answers begin, by row.
    """

    def __init__(
        self,
        model: LanguageModel,
        pairs: Mapping[int, tuple[Sequence[int], Sequence[int]]],
        starts: Sequence[int],
        beta: float,
        precision: Precision,
        token_budget: int,
    ):
        lengths = [tuple(map(len, pairs.get(row, ()))) for row in range(len(starts))]
        super().__init__(model, lengths, precision, token_budget)
        self.pairs, self.starts, self.beta = pairs, starts, beta
        self.reference = torch.zeros(len(starts), 2, device=self.device)
        """What rewards are counted from, in the order of the logits; by row."""

    def compute(self, rows: Sequence[int]) -> Tensor:
        batch = self.collator.batch([ids for row in rows for ids in self.pairs[row]])
        answers = self.collator.from_starts([self.starts[row] for row in rows for _ in range(2)], batch)
        with autocast(self.device, self.precision):
            likely = self.model(batch.ids, batch.mask, answers, texts=batch.texts)
        return self.beta * likely.view(-1, 2) - self.reference[list(rows)]
