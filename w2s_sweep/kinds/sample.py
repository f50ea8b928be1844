"""The kind that draws several answers of a trained language model, and takes the one that most of them give."""

from typing import ClassVar

from w2s_sweep.config.dataset import Partition, Split
from w2s_sweep.config.schema import schema
from w2s_sweep.kinds.base import Divided, Hints, InputName, Opened
from w2s_sweep.kinds.cost import Cost, forward, sizes_of
from w2s_sweep.kinds.memory import Memory
from w2s_sweep.kinds.shape import Shape
from w2s_sweep.kinds.training import Generate


@schema
class Sample(Divided):
    """Answers of a trained stage, the input `trained`, that were drawn and not the likeliest ones."""

    kind: ClassVar[str] = "sample"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[InputName, ...]] = ("data", "trained")
    takes: ClassVar[tuple[InputName, ...]] = ("adapted",)
    shards: ClassVar[bool] = True

    split: Partition
    trained: Generate
    """Settings of the trained stage."""
    splits: tuple[Split, ...]
    """Which rows are answered."""
    count: int
    """Answers to a row."""
    temperature: float
    seed: int

    @property
    def can_shard(self) -> bool:
        return self.trained.can_shard

    def model_part(self) -> Generate:
        return self.trained

    def cost(self, hints: Hints) -> Cost:
        rows = self.count * sum(sizes_of(hints.dataset).on(split) for split in self.splits)
        return forward(hints.of_model.params, rows, rows * sizes_of(hints.dataset).tokens)

    def memory(self, hints: Hints, shape: Shape) -> Memory:
        return self.trained.memory(hints, shape)  # it is built as for training

    def opens(self, hints: Hints) -> tuple[Opened, ...]:
        return self.trained.opens(hints)
