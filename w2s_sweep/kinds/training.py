"""The kinds that train: probes, fine-tuning, generation, and the adaptation of a language model to a task's texts."""

from collections.abc import Hashable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PlainSerializer, PlainValidator

from w2s_sweep.config.dataset import Partition, Split
from w2s_sweep.config.finetune import Precision
from w2s_sweep.config.schema import schema
from w2s_sweep.errors import ConfigError
from w2s_sweep.kinds.base import Divided, Hints, InputName, OfModel
from w2s_sweep.kinds.cost import Cost, sizes_of
from w2s_sweep.kinds.memory import ON_CPU, Memory, training
from w2s_sweep.kinds.recipes import (
    AdaptRecipe,
    FullRecipe,
    LoraRecipe,
    MixedRows,
    ProbeRecipe,
    StoppingRule,
    quantise_of,
)
from w2s_sweep.kinds.shape import Shape
from w2s_sweep.losses import AbsentLoss, Loss, loss_from_plain, loss_settings


def _read_loss(value: Any) -> Loss:
    if isinstance(value, Loss):
        return value
    try:
        return loss_from_plain(value)
    except ConfigError as error:  # code of one's own that is gone: other stages of the same job do not need it
        return AbsentLoss(name=str(value["name"]), planned=value, reason=str(error))


PlannedLoss = Annotated[Loss, PlainValidator(_read_loss), PlainSerializer(loss_settings)]
"""A loss together with the version that it was planned with, see `losses.loss_settings`."""


@schema
class Trained(Divided):
    """Part of the kinds that train on one half and publish predictions."""

    trains: ClassVar[bool] = True

    split: Partition
    on: Split
    portion: tuple[int, int] | None = None
    """(i, n): the i-th, from 0, of n portions of `on`."""
    loss: PlannedLoss
    seed: int
    """Seed of initialisation and of the order of examples."""

    def examples_learnt(self, hints: Hints) -> float:
        """Examples of one epoch."""
        return sizes_of(hints.dataset).on(self.on) / (1 if self.portion is None else self.portion[1])


@schema
class Supervised(Trained):
    """Part of the kinds that learn classes, or rewards, from labels."""

    takes: ClassVar[tuple[InputName, ...]] = ("labels", "weights", "mixed")

    unlabelled: Literal["refuse", "skip"] = "refuse"
    """What becomes of rows of `on` without a label."""
    also_predict: tuple[Split, ...] = ()
    """Splits to predict beyond those that every model predicts."""
    conflict: float = 0.0
    """Weight of the reward for contradicting the truth, see `losses.conflict`."""
    mixed: MixedRows | None = None
    early_stopping: StoppingRule | None = None

    def examples_learnt(self, hints: Hints) -> float:
        return super().examples_learnt(hints) * (1 + (0 if self.mixed is None else self.mixed.rows))


@schema
class Probe(Supervised):
    """A linear classifier on frozen features."""

    kind: ClassVar[str] = "probe"
    needs: ClassVar[tuple[InputName, ...]] = ("data", "features")
    takes: ClassVar[tuple[InputName, ...]] = (*Supervised.takes, "mixed_features")

    finetune: ProbeRecipe

    def cost(self, hints: Hints) -> Cost:
        return Cost()  # seconds, whatever the model: features are the work

    def memory(self, hints: Hints, shape: Shape) -> Memory:
        return ON_CPU


@schema
class Tuned(Trained, OfModel):
    """Part of the kinds that train inside a transformer."""

    writes: ClassVar[bool] = False
    """Whether its model then writes texts, whose `max_tokens` count what is written."""

    finetune: Annotated[FullRecipe | LoraRecipe, Field(discriminator="name")]
    early_stopping: StoppingRule | None

    @property
    def way(self) -> str:
        return self.finetune.name

    def cost(self, hints: Hints) -> Cost:
        """6 FLOPs a parameter and token learnt, 2 for one predicted (Kaplan et al. 2020, section 2.1)."""
        sizes, params = sizes_of(hints.dataset), hints.of_model.params
        seen = self.examples_learnt(hints)
        learned, predicted = seen * self.finetune.epochs, self.examples_predicted(hints, seen)
        flops = params * sizes.tokens * (6 * learned + 2 * predicted)
        return Cost(learned + predicted, (learned + predicted) * sizes.tokens, flops)

    def examples_predicted(self, hints: Hints, learnt: float) -> float:
        """Forward passes beside training: predictions and early stopping."""
        sizes, rule = sizes_of(hints.dataset), self.early_stopping
        return sizes.examples_predicted() + (0 if rule is None else sizes.on("validation") * rule.evaluations)

    def memory(self, hints: Hints, shape: Shape) -> Memory:
        finetune = self.finetune
        adapters = (finetune.rank, finetune.targets) if isinstance(finetune, LoraRecipe) else None
        stopping = self.early_stopping is not None
        return training(
            shape,
            finetune.precision,
            self.longest(hints),
            adapters=adapters,
            stopping=stopping,
            language=self.reads_likelihoods,
            quantise=quantise_of(finetune),
            dora=isinstance(finetune, LoraRecipe) and finetune.dora,
            writes=self.longest(hints) if self.writes else 0,
            last=self.reads_last,
        )

    @property
    def can_shard(self) -> bool:
        # Magnitudes are those of whole matrices, of which a process would have a share alone.
        return not (isinstance(self.finetune, LoraRecipe) and self.finetune.dora)

    @property
    def reads_likelihoods(self) -> bool:
        """Whether it needs the model's unembedding."""
        return False

    @property
    def reads_last(self) -> bool:
        """Whether, of a text, the state of the last token is all that it needs."""
        return False

    def lora_targets(self) -> tuple[str, ...]:
        return self.finetune.targets if isinstance(self.finetune, LoraRecipe) else ()


@schema
class Finetune(Supervised, Tuned):
    """A transformer with a head, or as a reward."""

    kind: ClassVar[str] = "finetune"
    takes: ClassVar[tuple[InputName, ...]] = (*Supervised.takes, "adapted")

    early_stopping: StoppingRule | None = None
    pooling: Literal["last", "mean"]
    reward: Literal["head", "implicit"] = "head"
    beta: float | None = None
    """Factor of an implicit reward (DPO's beta)."""

    @property
    def reads_likelihoods(self) -> bool:
        return self.reward == "implicit"

    @property
    def reads_last(self) -> bool:
        return self.pooling == "last" and self.reward == "head"

    def frozen_base(self) -> Hashable:
        # Masks of dropout are drawn for a batch as a whole, magnitudes (DoRA) change what the frozen weights give, and
        # an implicit reward has an unembedding to pass through.
        recipe = self.finetune
        if not isinstance(recipe, LoraRecipe) or recipe.dropout or recipe.dora or self.reward != "head":
            return None
        return (
            self.kind,
            self.pooling,
            recipe.precision,
            recipe.quantise,
            repr(sorted(self.model.items())),
        )

    def examples_predicted(self, hints: Hints, learnt: float) -> float:
        predicted = super().examples_predicted(hints, learnt)
        # what implicit rewards are counted from: the model before training reads everything once
        return predicted if self.reward == "head" else 2 * predicted + learnt


@schema
class Generate(Tuned):
    """A language model that learns to continue texts."""

    kind: ClassVar[str] = "generate"
    version: ClassVar[int] = 3
    takes: ClassVar[tuple[InputName, ...]] = ("labels", "adapted")
    writes: ClassVar[bool] = True

    unlabelled: Literal["refuse", "skip"] = "refuse"
    """What becomes of rows of `on` for which the supervising stage wrote no text."""
    max_new_tokens: int | None = None
    """Most tokens that it writes; None: as many as the longest target and its end."""

    @property
    def reads_likelihoods(self) -> bool:
        return True


@schema
class OfWriter(Divided):
    """Part of the kinds that go on with a stage which was trained to write, the input `trained`."""

    takes: ClassVar[tuple[InputName, ...]] = ("adapted",)

    split: Partition
    trained: Generate
    """Settings of that stage."""

    def model_part(self) -> Generate:
        return self.trained

    def memory(self, hints: Hints, shape: Shape) -> Memory:
        return self.trained.memory(hints, shape)  # it is built as for training


@schema
class Adapt(OfModel, Divided):
    """A language model trained on the texts of a task, without labels and test texts."""

    kind: ClassVar[str] = "adapt"
    takes: ClassVar[tuple[InputName, ...]] = ()
    shards: ClassVar[bool] = True

    adapt: AdaptRecipe
    precision: Precision
    split: Partition | None = None
    """How test texts are held out; None where the source has its own."""

    @property
    def way(self) -> str:
        return "adapt" if self.adapt.adapters is None else "adapt with adapters"

    def cost(self, hints: Hints) -> Cost:
        sizes, params = sizes_of(hints.dataset), hints.of_model.params
        examples = sizes.train * self.adapt.epochs
        return Cost(examples, examples * sizes.tokens, 6 * params * examples * sizes.tokens)

    def memory(self, hints: Hints, shape: Shape) -> Memory:
        said = self.adapt.adapters
        adapters = None if said is None else (said[0], said[2])
        return training(shape, self.precision, self.longest(hints), adapters=adapters, stopping=False, language=True)

    def lora_targets(self) -> tuple[str, ...]:
        return self.adapt.targets or ()
