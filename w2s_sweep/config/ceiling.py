"""The ceiling's own fine-tuning: values that one is chosen from by the truth of validation rows."""

from dataclasses import fields, replace
from itertools import product
from typing import Annotated

from pydantic import Field

from w2s_sweep.config.finetune import Full, Lora, Probe
from w2s_sweep.config.schema import schema

AnyRecipe = Full | Lora | Probe


@schema
class Ceiling:
    """Without any value the ceiling is trained as the student is.

    A PGR near 1 says little where the ceiling is a badly tuned model. Here it gets the values that suit it best: one
    ceiling is trained for every combination, and the best on validation rows, whose truth it has, is *the* ceiling. The
    student, which must do without truth, keeps those of `finetune`.
    """

    lr: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Peak learning rates."""
    weight_decay: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """Decoupled weight decays."""
    l2: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """Penalties of a probe."""
    epochs: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Passes over the rows."""
    skip: bool = False
    """Train no ceiling, as where half B has no truth; there is then no gap, and the PGR has no value."""

    def values_tried(self) -> dict[str, tuple[float, ...]]:
        """The settings of the fine-tuning that have values of their own."""
        named = ((f.name, getattr(self, f.name)) for f in fields(self) if f.name != "skip")
        return {name: values for name, values in named if values}

    def candidates(self, finetune: AnyRecipe) -> list[AnyRecipe]:
        """Every combination in place of the values of `finetune`, each once."""
        tried = self.values_tried()
        grid = [dict(zip(tried, values, strict=True)) for values in product(*tried.values())]
        return list(dict.fromkeys(replace(finetune, **values) for values in grid))
