"""What every stage that trains inside a transformer does alike: the learner's side of the loop, and LoRA as set."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from torch import Tensor, nn

from w2s_sweep.config.finetune import Precision
from w2s_sweep.data.batches import micro_batches
from w2s_sweep.kinds.training import LoraRecipe, Tuned
from w2s_sweep.models.device import pick_device
from w2s_sweep.models.lora import Tuneable, add_lora, trainable
from w2s_sweep.runner.context import Context

M = TypeVar("M", bound=nn.Module)


class TransformerLearner(Generic[M]):
    """A module on its device, whose rows of known lengths are split into micro-batches by a budget of padded tokens."""

    def __init__(self, model: M, lengths: Sequence[int], precision: Precision, token_budget: int):
        self.device = pick_device()
        self.model = model.to(self.device)
        self.lengths = list(lengths)
        self.precision: Precision = precision
        self.token_budget = token_budget

    def micro_batches(self, rows: Sequence[int]) -> list[list[int]]:
        return micro_batches(self.lengths, rows, self.token_budget)

    def trainable(self) -> dict[str, Tensor]:
        return dict(trainable(self.model))

    def penalty(self) -> Tensor | None:
        return None

    def mode(self, *, training: bool) -> None:
        self.model.train(training)


def add_adapters(context: Context[Tuned], model: Tuneable) -> None:
    """Give `model` the adapters of the stage's recipe, where this is of LoRA."""
    settings, finetune = context.settings, context.settings.finetune
    if isinstance(finetune, LoraRecipe):
        add_lora(
            model,
            rank=finetune.rank,
            alpha=finetune.alpha,
            targets=finetune.targets,
            seed=settings.seed,
            dropout=finetune.dropout,
        )
