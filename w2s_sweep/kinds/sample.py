"""The kind that draws several answers of a trained language model, and takes the one that most of them give."""

from dataclasses import replace
from typing import ClassVar

from w2s_sweep.config.dataset import Split
from w2s_sweep.config.schema import schema
from w2s_sweep.kinds.base import Hints, InputName
from w2s_sweep.kinds.cost import Cost, forward, sizes_of
from w2s_sweep.kinds.memory import Memory
from w2s_sweep.kinds.shape import Shape
from w2s_sweep.kinds.training import OfWriter


@schema
class Sample(OfWriter):
    """Answers of a trained stage, the input `trained`, that were drawn and not the likeliest ones."""

    kind: ClassVar[str] = "sample"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[InputName, ...]] = ("data", "trained")

    splits: tuple[Split, ...]
    """Which rows are answered."""
    count: int
    """Answers to a row."""
    temperature: float
    seed: int

    def cost(self, hints: Hints) -> Cost:
        rows = self.count * sum(sizes_of(hints.dataset).on(split) for split in self.splits)
        return forward(hints.of_model.params, rows, rows * sizes_of(hints.dataset).tokens)

    def memory(self, hints: Hints, shape: Shape) -> Memory:
        """What the trained stage holds while it writes: weights, without what trained them."""
        need = replace(self.trained, early_stopping=None).memory(hints, shape)
        return need if need.writing is None else need.alone(need.writing)
