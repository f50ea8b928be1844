"""Weights that were trained after a model was published: all of them, or the product of low-rank adapters to add."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.lora import restore, save_trained

WEIGHTS, ADAPTERS = "weights.safetensors", "adapters.safetensors"


def save_adapted(model: LanguageModel, folder: Path, scale: float | None = None) -> None:
    """Write what training changed: adapters of scale `scale`, or all weights."""
    if scale is None:
        save_trained(model, folder / WEIGHTS)
    else:
        save_trained(model, folder / ADAPTERS, metadata={"scale": repr(scale)})


def load_adapted(backbone: Backbone, folder: Path) -> Backbone:
    """`backbone`, whose weights are replaced in place by what `save_adapted` wrote about the same model."""
    merge = (folder / ADAPTERS).is_file()
    with safe_open(folder / (ADAPTERS if merge else WEIGHTS), framework="pt") as file:
        saved: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        scale = float((file.metadata() or {}).get("scale", "nan"))
    head = saved.pop("head", None)
    weights = {name.removeprefix("transformer."): value for name, value in saved.items()}
    with torch.no_grad():
        (add_products if merge else _replace)(backbone.module, weights, scale)
    return backbone if head is None else replace(backbone, head=head)


def _replace(module: nn.Module, weights: dict[str, Tensor], scale: float) -> None:
    restore(dict(module.named_parameters()), weights, "adapted weights")


def add_products(module: nn.Module, weights: Mapping[str, Tensor], scale: float) -> None:
    """W + scale * B A in the place of W, for every adapted module (Hu et al. 2021, section 4.1)."""
    for name, down in weights.items():
        if ".lora_A." in name:
            target = module.get_submodule(name.partition(".lora_A.")[0])
            change = scale * weights[name.replace(".lora_A.", ".lora_B.")] @ down
            weight = target.get_parameter("weight")
            weight += change.T if isinstance(target, Conv1D) else change
