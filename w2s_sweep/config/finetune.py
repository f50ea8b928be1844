"""How a model is trained: all weights, LoRA adapters, or a linear probe on frozen features."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Annotated, Literal

from pydantic import Field

from w2s_sweep.config.model import Count, Rate
from w2s_sweep.config.schema import schema

Precision = Literal["bf16", "fp32"]
Schedule = Literal["cosine", "linear", "constant"]
HeadInit = Literal["zero", "label_words"]
Quantise = Literal["none", "nf4"]
Targets = Literal["model", "all-linear"]
ALL_LINEAR: Targets = "all-linear"
"""PEFT's word for every linear module of a transformer."""
NF4_PACKAGE = "bitsandbytes"
MOST_TOKENS = 8192
"""Tokens of a forward pass beyond which a GPU becomes no faster."""
Share = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Penalty = Annotated[float, Field(ge=0)]


def lacking(quantise: Quantise) -> str | None:
    """What is wrong where the package for it is not installed."""
    if quantise == "none" or find_spec(NF4_PACKAGE) is not None:
        return None
    return (
        f"finetune.quantise: {quantise} needs the package {NF4_PACKAGE}, which is not installed here. Install it "
        "(pip install '.[nf4]'), or set finetune.quantise=none."
    )


@schema
class Optimizer:
    """What full fine-tuning, LoRA and probes share."""

    batch_size: Count = 32
    """Examples of one optimizer step."""
    epochs: Count = 2
    lr: Rate | None = None
    """Peak learning rate; null takes the model's own for this kind of fine-tuning."""
    lr_schedule: Schedule = "cosine"
    lr_warmup: Share = 0.0
    """Share of the steps over which the learning rate rises linearly."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    weight_decay: Penalty = 0.0
    """Decoupled weight decay (AdamW); 0 is Adam."""
    grad_clip: Annotated[float, Field(gt=0)] | None = None
    """Largest gradient norm; null does not clip."""
    precision: Precision = "bf16"
    """bf16: autocast where the device supports it, fp32 elsewhere; weights and optimizer state stay fp32."""
    early_stopping: Literal["none", "weak", "oracle"] = "none"
    """Which parameters a stage ends with: the last ones, or those of the evaluation with the best accuracy on the
    validation split (the earliest of equally good ones). weak: against the hardened labels that the stage is trained
    on (Burns et al. 2023, section 5.1), the truth for stages that are trained on it. oracle: against the truth for the
    student too, which nobody who needs weak supervision has."""
    evaluations: Count = 10
    """How often early stopping evaluates, evenly over the training."""


@schema
class Tuned(Optimizer):
    """What the two kinds that train inside the transformer share."""

    head_init: HeadInit = "zero"
    """zero, or the unembedding rows of the model's two label words (the paper's choice)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout probability everywhere in the model; 0 as in the paper."""
    reward: Literal["head", "implicit"] = "head"
    """What scores the texts of a pair: a linear head, or how much likelier the language model has become to write them
    (Rafailov et al. 2023, DPO; supervised by a weak model: Tao and Li 2024, arXiv 2409.08813). Single texts always have
    a head."""
    beta: Annotated[float, Field(gt=0)] = 0.1
    """An implicit reward is beta times the log-ratio of a text's probability after and before training."""


@schema
class Full(Tuned):
    """Fine-tune every weight."""

    name: Literal["full"] = "full"


@schema
class Lora(Tuned):
    """Fine-tune low-rank adapters and the head."""

    name: Literal["lora"] = "lora"
    rank: Count = 8
    alpha: Annotated[float, Field(gt=0)] = 16.0
    """Scale of the adapter is alpha / rank."""
    rslora: bool = False
    """Scale of the adapter is alpha / sqrt(rank) instead (Kalajdzievski 2023, arXiv 2312.03732)."""
    targets: Targets = "model"
    """model: the modules that `lora_targets` of each model names; all-linear: every linear module of the transformer,
    as PEFT means it, but the outputs of Mamba's mixers and, beside experts, feed-forward matrices."""
    dora: bool = False
    """Each output of an adapted matrix has a magnitude of its own (Liu et al. 2024, DoRA, arXiv 2402.09353)."""
    quantise: Quantise = "none"
    """nf4: the frozen matrices of the blocks in 4 bits (Dettmers et al. 2023, QLoRA, arXiv 2305.14314), by the package
    bitsandbytes; that is another model to begin from, and gives other results."""


@schema
class Probe(Optimizer):
    """A linear probe on frozen, standardised features that are computed once per model and dataset."""

    name: Literal["probe"] = "probe"
    batch_size: Count = 128
    epochs: Count = 30
    lr: Rate = 1e-2  # pyright: ignore[reportIncompatibleVariableOverride]
    l2: Penalty = 0.1
    """Penalty l2 / 2 * |w|^2 added to the mean loss; the bias is free."""


Finetune = Annotated[Full | Lora | Probe, Field(discriminator="name")]


def takes_all_linear(targets: Sequence[str]) -> bool:
    """Whether adapters are put on every linear module."""
    return tuple(targets) == (ALL_LINEAR,)
