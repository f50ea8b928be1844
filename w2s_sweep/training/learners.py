"""What every stage that trains inside a transformer does alike: the learner's side of the loop, and LoRA as set."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from torch import Tensor, nn

from w2s_sweep.config.finetune import Precision
from w2s_sweep.errors import ModelError
from w2s_sweep.kinds.training import LoraRecipe, Tuned
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.device import pick_device
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.lora import Tuneable, add_lora, trainable
from w2s_sweep.runner.context import Context

ADAPTER = ".lora_"
"""Part of the names of weights that LoRA adds."""

M = TypeVar("M", bound=Classifier | LanguageModel)


class TransformerLearner(Generic[M]):
    """A model on its device, whose rows are split into micro-batches by a budget of tokens.

    `lengths`: tokens of each text of every row.
    """

    def __init__(self, model: M, lengths: Sequence[Sequence[int]], precision: Precision, token_budget: int):
        self.device = pick_device()
        self.model: M = model.to(self.device)
        self.lengths = lengths
        self.precision: Precision = precision
        self.token_budget = token_budget
        self.collator = model.backbone.collator()

    def tokens_of(self, rows: Sequence[int]) -> int:
        """Tokens of all texts of `rows`."""
        return sum(sum(self.lengths[row]) for row in rows)

    def micro_batches(self, rows: Sequence[int]) -> list[list[int]]:
        return self.collator.split(self.lengths, rows, self.token_budget)

    def shrink(self) -> None:
        self.token_budget = max(1, self.token_budget // 2)

    def trainable(self) -> dict[str, Tensor]:
        return dict(trainable(self.model))

    def penalty(self) -> Tensor | None:
        return None

    def mode(self, *, training: bool) -> None:
        self.model.train(training)


def add_adapters(context: Context[Tuned], model: Tuneable) -> None:
    """Give `model` the adapters of the stage's recipe, where this is of LoRA; what trains is then what it says."""
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
    require_trained(model.transformer, lora=isinstance(finetune, LoraRecipe))


def require_trained(transformer: nn.Module, *, lora: bool) -> None:
    """ModelError unless every weight of the transformer trains, or with `lora` its adapters and nothing else."""
    for name, parameter in transformer.named_parameters():
        if parameter.requires_grad != (not lora or ADAPTER in name):
            state = "trains" if parameter.requires_grad else "is frozen"
            wanted = "adapters alone train" if lora else "every weight trains"
            raise ModelError(
                f"finetune: {wanted}, but {name} {state}. Give the folder of a plain model, without adapters."
            )
