"""How stages train, as it enters their keys: recipes of optimization, and when parameters are kept."""

from typing import Literal

from w2s_sweep.config.dataset import Partition
from w2s_sweep.config.finetune import HeadInit, Precision, Quantise, Schedule
from w2s_sweep.config.schema import schema
from w2s_sweep.kinds.base import Hashed


@schema
class StoppingRule(Hashed):
    """Which parameters a stage ends with: those of its best evaluation on the validation split."""

    against: Literal["truth", "labels"]
    evaluations: int


@schema
class MixedRows(Hashed):
    """Rows of another dataset that are learnt from beside those of the stage."""

    rows: float
    """How many, for each row of the stage."""
    split: Partition
    """How that dataset is split: its validation and test rows are not learnt from."""


@schema
class Optimization(Hashed):
    """Part of all recipes; see `config.finetune.Optimizer` for meaning and units."""

    batch_size: int
    epochs: int
    lr: float
    lr_schedule: Schedule
    lr_warmup: float
    betas: tuple[float, float]
    weight_decay: float
    grad_clip: float | None


@schema
class ProbeRecipe(Optimization):
    """How a linear probe is trained."""

    name: Literal["probe"]
    l2: float


@schema
class TunedRecipe(Optimization):
    """Part of the recipes that train inside a transformer."""

    precision: Precision
    dropout: float
    head_init: HeadInit | None = None
    """None where there is no head: a language model that generates."""
    label_words: tuple[str, ...] | None = None
    """Where the head begins with their rows."""


@schema
class FullRecipe(TunedRecipe):
    """How all weights are trained."""

    name: Literal["full"]


@schema
class LoraRecipe(TunedRecipe):
    """How adapters are trained."""

    name: Literal["lora"]
    rank: int
    alpha: float
    targets: tuple[str, ...]
    quantise: Quantise = "none"
    """What becomes of the frozen weights below."""
    dora: bool = False
    """Whether each output of an adapted matrix has a magnitude of its own."""


def quantise_of(recipe: FullRecipe | LoraRecipe) -> Quantise:
    """What becomes of weights that do not train; none of all of them."""
    return recipe.quantise if isinstance(recipe, LoraRecipe) else "none"


@schema
class AdaptRecipe(Hashed):
    """How a language model is trained on texts; see `config.model.Adapt`."""

    epochs: int
    lr: float
    batch_size: int
    rank: int | None
    seed: int
    alpha: float | None = None
    """Where adapters are trained."""
    targets: tuple[str, ...] | None = None

    @property
    def adapters(self) -> tuple[int, float, tuple[str, ...]] | None:
        """(rank, alpha, targets) of the adapters; None where all weights are trained."""
        if self.rank is None or self.alpha is None or self.targets is None:
            return None
        return self.rank, self.alpha, self.targets
