"""What the stages that train a language model share: the likelihood of marked tokens, and the loss that raises it."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from w2s_sweep.config.finetune import Precision
from w2s_sweep.config.schema import schema
from w2s_sweep.losses import Loss
from w2s_sweep.models.device import autocast
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.training.learners import TransformerLearner


class SequenceLearner(TransformerLearner[LanguageModel]):
    """Rows of token sequences in; out comes the log-probability of the tokens from each row's start on, together."""

    def __init__(
        self,
        model: LanguageModel,
        tokens: Sequence[Sequence[int]],
        starts: Sequence[int],
        precision: Precision,
        token_budget: int,
    ):
        super().__init__(model, [(len(ids),) for ids in tokens], precision, token_budget)
        self.tokens, self.starts = tokens, starts

    def compute(self, rows: Sequence[int]) -> Tensor:
        """float32 [rows, 1]: log p(tokens from the start on | tokens before it)."""
        batch = self.collator.batch([self.tokens[row] for row in rows])
        wanted = self.collator.from_starts([self.starts[row] for row in rows], batch)
        with autocast(self.device, self.precision):
            return self.model(batch.ids, batch.mask, wanted, texts=batch.texts)[:, None]


@schema
class NegativeLogLikelihood(Loss, choice=False):
    """-w log p: cross-entropy against the one text that is right; `labels` [rows, 1] are the weights w of the rows."""

    name: Literal["likelihood"] = "likelihood"

    def __call__(self, logits: Tensor, labels: Tensor, progress: float) -> Tensor:
        return -(labels * logits).sum(-1)
