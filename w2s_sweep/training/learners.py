"""What every stage that trains inside a transformer does alike: the learner's side of the loop, and LoRA as set."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from w2s_sweep.config.finetune import Precision
from w2s_sweep.errors import ModelError, OutOfMemory
from w2s_sweep.kinds.recipes import LoraRecipe
from w2s_sweep.kinds.training import Tuned
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.device import has_bf16, pick_device
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.lora import Tuneable, add_lora, trainable
from w2s_sweep.models.ranks import this_process
from w2s_sweep.models.throughput import Throughput
from w2s_sweep.runner.context import Context

ADAPTER = ".lora_"
"""Part of the names of weights that LoRA adds."""

M = TypeVar("M", bound=Classifier | LanguageModel)


class TransformerLearner(ABC, Generic[M]):
    """A model on its device, or shared out among those of several processes; rows are split into micro-batches by a
    budget of tokens for each process.

    `lengths`: tokens of each text of every row.
    """

    def __init__(self, model: M, lengths: Sequence[Sequence[int]], precision: Precision, token_budget: int):
        self.device, self.ranks = pick_device(), this_process()
        half = precision == "bf16" and has_bf16(self.device)
        self.ranks.shard(model, list(model.backbone.blocks) if self.ranks.size > 1 else [], self.device, half=half)
        if self.ranks.size == 1 and self.device.type == "cpu":
            add_slopes_by_token(model.backbone.module)
        self.model: M = model
        self.lengths = lengths
        self.precision: Precision = precision
        self.token_budget = token_budget
        self.collator = model.backbone.collator()
        self.learnt = Throughput()
        """By the steps of training."""

    @abstractmethod
    def compute(self, rows: Sequence[int]) -> Tensor:
        """`logits` of rows that this process has to itself."""

    def logits(self, rows: Sequence[int]) -> Tensor:
        """float32 [rows, classes], in the order of `rows`."""
        found = self.ranks.spread(rows, self._tokens, self.compute)
        if not torch.is_grad_enabled():
            self.ranks.settle(self.model)
        return found

    def _tokens(self, row: int) -> int:
        return sum(self.lengths[row])

    def tokens_of(self, rows: Sequence[int]) -> int:
        """Tokens of all texts of `rows`."""
        return sum(map(self._tokens, rows))

    def micro_batches(self, rows: Sequence[int]) -> list[list[int]]:
        size, budget = self.ranks.size, self.token_budget * self.ranks.size
        while True:
            parts = self.collator.split(self.lengths, rows, budget)
            if size == 1 or all(self._fits(part) for part in parts):
                return parts
            budget = budget * 7 // 8  # a part is cut into shares of whole rows, one of which may be the larger

    def _fits(self, part: Sequence[int]) -> bool:
        """Whether the share of each rank is one forward pass within the budget."""
        hands = self.ranks.deal(part, self._tokens)
        return all(len(self.collator.split(self.lengths, hand, self.token_budget)) <= 1 for hand in hands)

    def shrink(self) -> None:
        if self.ranks.size > 1:  # the others are in the middle of the same pass, and wait
            raise OutOfMemory(
                f"out of memory on one of {self.ranks.size} devices. Lower micro_batch_tokens from "
                f"{self.token_budget}, or dataset.max_tokens, or ask for more GPUs; the last checkpoint is kept."
            )
        self.token_budget = max(1, self.token_budget // 2)

    def measure(self, rows: Sequence[int], seconds: float) -> None:
        self.learnt.add(length for row in rows for length in self.lengths[row])
        self.learnt.seconds += seconds

    def trainable(self) -> dict[str, Tensor]:
        return dict(trainable(self.model))

    def penalty(self) -> Tensor | None:
        return None

    def mode(self, *, training: bool) -> None:
        self.model.train(training)


def add_slopes_by_token(transformer: PreTrainedModel) -> None:
    """From now on a backward pass makes the gradient of the embedding for the tokens it read, not for the vocabulary,
    and adds it to that of the passes before.

    Passes of few tokens spent more time on zeros of a matrix of all words than on some of the blocks. Left alone on
    GPUs, whose memory takes such zeros in no time.
    """
    table = transformer.get_input_embeddings()
    if isinstance(table, nn.Embedding) and table.weight.requires_grad:
        table.sparse = True
        table.weight.register_post_accumulate_grad_hook(_make_dense)


def _make_dense(weight: Tensor) -> None:
    # Once a step: torch adds rows to what is dense in place, where a list of them would be copied by every pass.
    if weight.grad is not None and weight.grad.is_sparse:
        weight.grad = weight.grad.to_dense()


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
            dora=finetune.dora,
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
