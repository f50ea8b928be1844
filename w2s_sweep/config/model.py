"""A pretrained model as the sweep sees it: where it is, how large it is, how it is read out."""

from typing import Annotated, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema
from w2s_sweep.config.source import Source

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, lt=1)]


@schema
class Resources:
    """What one job of this model asks a cluster for; null derives it from the model's size and the fine-tuning kind."""

    gpus: Annotated[int, Field(ge=0, le=64)] | None = None
    cpus: Count | None = None
    memory_gb: Count | None = None
    """GiB of host memory."""
    minutes: Count | None = None
    """Time limit in minutes."""


@schema
class Adapt:
    """Language-model training of a model on a task's texts, without their labels, before anything else is done with it.

    The texts are those of halves and validation; a test text is never trained on (Burns et al. 2023, section 5.2.2).
    """

    epochs: Count = 1
    lr: Rate | None = None
    """Peak learning rate, which falls along a cosine; null takes the model's own for all weights or for LoRA."""
    batch_size: Count = 32
    """Texts of one optimizer step."""
    rank: Count | None = None
    """Rank of LoRA adapters that train alone; null trains all weights."""
    alpha: Annotated[float, Field(gt=0)] = 16.0
    """Scale of an adapter is alpha / rank."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seed of initialisation and order, the same for all seeds of a sweep so that they share the adapted model."""


@schema
class Model:
    """One pretrained model, used as the weak supervisor, as the strong student and ceiling, or in between."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    """Short label for tables, figures and logs. Not hashed."""
    source: Source
    path: str | None = None
    """A local copy to use instead of `source`, as `kind: local` would; or a folder with a PEFT adapter, on `base`."""
    base: str | None = None
    """Where `path` is an adapter: the folder of the weights that it was trained on, or their name on the hub. Null is
    what its configuration names."""
    features: str | None = None
    """A file of vectors of the examples, by id or text, that any encoder made: probes train on them, and no model is
    opened. Its content enters the key, its path does not."""
    params: Count
    """Parameters of the backbone; x axis of scaling plots and cost estimates. Not hashed."""
    layers: Count
    """Transformer blocks of the published model. Not hashed."""
    hidden: Count
    """Width of the residual stream. Not hashed."""
    keep_layers: Count | None = None
    """Keep only the first so many blocks (a weaker model from the same weights); null keeps all."""
    pooling: Literal["last", "mean"] = "last"
    """Read-out over positions: the last real token, or the mean over real tokens (without the attention sink)."""
    feature_layer: Annotated[int, Field(ge=0)] | None = None
    """Block whose output frozen features are read from; null is 60 % of the depth (the last block of an encoder)."""
    lora_targets: tuple[str, ...] = ("q_proj", "v_proj")
    """Names of the linear modules that get a LoRA adapter."""
    label_words: tuple[str, str] | None = None
    """Words whose unembedding rows initialise a two-class head when `finetune.head_init=label_words`."""
    lr_full: Rate = 1e-5
    """Learning rate of full fine-tuning when `finetune.lr` is null."""
    lr_lora: Rate = 1e-4
    """Learning rate of LoRA fine-tuning when `finetune.lr` is null."""
    confidence_weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Weight of a student's own predictions in the confidence loss when `loss.max_weight` is null."""
    adapt: Adapt | None = None
    """Language-model training on the task's texts before everything else; null leaves the model as it was published."""
    resources: Resources = Resources()

    @property
    def source_kind(self) -> Literal["model", "dataset"]:
        """What its source holds: vectors are data."""
        return "model" if self.features is None else "dataset"
