"""Hyper-parameters of a fine-tuning as a stage has them, with what they leave to the model filled in."""

from typing import TypedDict

from w2s_sweep.config import finetune as config
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.model import Model
from w2s_sweep.data.shape import head_words
from w2s_sweep.kinds.recipes import FullRecipe, LoraRecipe, ProbeRecipe


class OptimizationFields(TypedDict):
    """The fields of `kinds.recipes.Optimization`."""

    batch_size: int
    epochs: int
    lr: float
    lr_schedule: config.Schedule
    lr_warmup: float
    betas: tuple[float, float]
    weight_decay: float
    grad_clip: float | None


class TunedFields(TypedDict):
    """The further fields of `kinds.recipes.TunedRecipe`."""

    precision: config.Precision
    dropout: float
    head_init: config.HeadInit | None
    label_words: tuple[str, ...] | None


def tuned_recipe(
    model: Model, finetune: config.Full | config.Lora | config.Probe, dataset: Dataset, *, head: bool
) -> FullRecipe | LoraRecipe:
    """Of training inside `model`; `head`: whether it gets one for the classes of `dataset`."""
    if isinstance(finetune, config.Probe):
        raise TypeError("a probe generates no text")
    words = head and finetune.head_init == "label_words"
    tuned: TunedFields = {
        "precision": finetune.precision,
        "dropout": finetune.dropout,
        "head_init": finetune.head_init if head else None,
        "label_words": head_words(dataset, model) if words else None,
    }
    if isinstance(finetune, config.Lora):
        return LoraRecipe(
            name="lora",
            **_optimization(finetune, finetune.lr or model.lr_lora),
            **tuned,
            rank=finetune.rank,
            alpha=finetune.alpha * (finetune.rank**0.5 if finetune.rslora else 1.0),  # the same scale, alpha / rank
            targets=model.lora_targets if finetune.targets == "model" else (finetune.targets,),
            quantise=finetune.quantise,
            dora=finetune.dora,
        )
    return FullRecipe(name="full", **_optimization(finetune, finetune.lr or model.lr_full), **tuned)


def probe_recipe(finetune: config.Probe) -> ProbeRecipe:
    return ProbeRecipe(name="probe", **_optimization(finetune, finetune.lr), l2=finetune.l2)


def _optimization(finetune: config.Optimizer, lr: float) -> OptimizationFields:
    return {
        "batch_size": finetune.batch_size,
        "epochs": finetune.epochs,
        "lr": lr,
        "lr_schedule": finetune.lr_schedule,
        "lr_warmup": finetune.lr_warmup,
        "betas": finetune.betas,
        "weight_decay": finetune.weight_decay,
        "grad_clip": finetune.grad_clip,
    }
