"""What the stages that train a language model share: the likelihood of marked tokens, and the loss that raises it."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from w2s_sweep.config.finetune import Precision
from w2s_sweep.config.schema import schema
from w2s_sweep.data.batches import pad
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
        super().__init__(model, [len(ids) for ids in tokens], precision, token_budget)
        self.pad_id = model.backbone.pad_id
        self.tokens, self.starts = tokens, torch.tensor(list(starts), dtype=torch.int64)

    def logits(self, rows: Sequence[int]) -> Tensor:
        """float32 [rows, 1]: log p(tokens from the start on | tokens before it)."""
        ids, mask = pad([self.tokens[row] for row in rows], self.pad_id)
        wanted = mask * (torch.arange(mask.shape[1]) >= self.starts[list(rows), None])
        ids, mask, wanted = (part.to(self.device) for part in (ids, mask, wanted))
        with autocast(self.device, self.precision):
            return self.model(ids, mask, wanted)[:, None]


@schema
class NegativeLogLikelihood(Loss, choice=False):
    """-w log p: cross-entropy against the one text that is right; `labels` [rows, 1] are the weights w of the rows."""

    name: Literal["likelihood"] = "likelihood"

    def __call__(self, logits: Tensor, labels: Tensor, progress: float) -> Tensor:
        return -(labels * logits).sum(-1)
