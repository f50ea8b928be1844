"""The kind that puts what a model writes about each text behind it."""

from typing import ClassVar

from w2s_sweep.config.finetune import Precision
from w2s_sweep.config.schema import schema
from w2s_sweep.kinds.base import Hints, OfModel
from w2s_sweep.kinds.cost import CHARACTERS_A_TOKEN, Cost, forward, sizes_of
from w2s_sweep.kinds.memory import Memory, running
from w2s_sweep.kinds.shape import Shape


@schema
class Critique(OfModel):
    """The examples of `data`, each text followed by a question and what a model, without training, answers to it.

    It computes on one GPU: processes that decode together have shares of one model, and those that read a model as it
    is have each the whole of it.
    """

    kind: ClassVar[str] = "critique"

    precision: Precision
    question: str
    """What the model is asked about each text."""
    max_new_tokens: int
    """Most tokens of its answer."""

    def cost(self, hints: Hints) -> Cost:
        sizes = sizes_of(hints.dataset)
        examples = sizes.train + sizes.test
        added = self.max_new_tokens + len(self.question) / CHARACTERS_A_TOKEN
        return forward(hints.of_model.params, examples, examples * (sizes.tokens + added))

    def memory(self, hints: Hints, shape: Shape) -> Memory:
        return running(shape, self.precision, self.max_tokens, writes=self.max_tokens)
