"""The kind that shows a trained model the test rows of another dataset."""

from typing import ClassVar

from w2s_sweep.config.dataset import Partition
from w2s_sweep.config.schema import schema
from w2s_sweep.kinds.base import Divided, Hints, InputName
from w2s_sweep.kinds.cost import Cost, forward, sizes_of
from w2s_sweep.kinds.memory import ON_CPU, Memory
from w2s_sweep.kinds.shape import Shape
from w2s_sweep.kinds.training import Finetune, Probe


@schema
class Evaluate(Divided):
    """What a trained stage, the input `trained`, predicts for the test rows of `data`; it is trained no further."""

    kind: ClassVar[str] = "evaluate"
    needs: ClassVar[tuple[InputName, ...]] = ("data", "trained")
    takes: ClassVar[tuple[InputName, ...]] = ("features", "adapted")

    split: Partition
    """How the rows of `data` are divided: a test set of the source's own, or one dealt by the cell's seed."""
    probe: Probe | None = None
    """Settings of the trained stage where it is a probe, which reads `features`."""
    finetune: Finetune | None = None
    """Settings of the trained stage where it is a transformer."""

    @property
    def trained(self) -> Probe | Finetune:
        found = self.probe or self.finetune
        if found is None:
            raise ValueError("evaluate: says neither what probe nor what fine-tuning it shows rows to")
        return found

    def model_part(self) -> Finetune | None:
        return self.finetune

    def cost(self, hints: Hints) -> Cost:
        if self.finetune is None:
            return Cost()
        sizes = sizes_of(hints.dataset)
        return forward(hints.of_model.params, sizes.test, sizes.test * sizes.tokens)

    def memory(self, hints: Hints, shape: Shape) -> Memory:
        if self.finetune is None:
            return ON_CPU
        return self.finetune.memory(hints, shape)  # it is built as for training
