"""The kind that trains a language model to prefer some of its answers to others."""

from dataclasses import replace
from typing import ClassVar

from w2s_sweep.config.dataset import Split
from w2s_sweep.config.schema import schema
from w2s_sweep.kinds.base import Hints, InputName
from w2s_sweep.kinds.cost import Cost, sizes_of
from w2s_sweep.kinds.memory import Memory
from w2s_sweep.kinds.recipes import FullRecipe, LoraRecipe
from w2s_sweep.kinds.shape import Shape
from w2s_sweep.kinds.training import OfWriter


@schema
class Prefer(OfWriter):
    """The trained stage, which it begins with and is measured from, learns to prefer its own agreed answers, of the
    samples `own`, to those samples `labels` of its supervisor that answer otherwise (direct preference
    optimization)."""

    kind: ClassVar[str] = "prefer"
    version: ClassVar[int] = 2
    trains: ClassVar[bool] = True
    needs: ClassVar[tuple[InputName, ...]] = ("data", "trained", "labels", "own")

    on: Split
    least: float
    """Least share of a row's own samples that give the preferred answer."""
    beta: float
    """Factor of the log-ratio to the stage that it begins with, DPO's beta."""
    epochs: int
    lr: float
    seed: int
    """Of the order of pairs."""

    @property
    def recipe(self) -> FullRecipe | LoraRecipe:
        """How it is trained: as the stage it begins with, but for these two."""
        return replace(self.trained.finetune, epochs=self.epochs, lr=self.lr)

    def cost(self, hints: Hints) -> Cost:
        """Two texts a pair, at most one pair a row."""
        sizes, params = sizes_of(hints.dataset), hints.of_model.params
        learned, read = 2 * sizes.on(self.on) * self.epochs, 2 * sizes.on(self.on) + sizes.examples_predicted()
        flops = params * sizes.tokens * (6 * learned + 2 * read)
        return Cost(learned + read, (learned + read) * sizes.tokens, flops)

    def memory(self, hints: Hints, shape: Shape) -> Memory:
        """As of the stage it begins with, but that both texts of a pair go through the model together."""
        need = super().memory(hints, shape)
        return replace(need, least=2 * need.least)
