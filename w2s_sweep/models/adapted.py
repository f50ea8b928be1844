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
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.lora import restore, save_trained

MAGNITUDE = "lora_magnitude_vector"
WEIGHTS, ADAPTERS = "weights.safetensors", "adapters.safetensors"


def save_adapted(model: LanguageModel, folder: Path, scale: float | None = None) -> None:
    """Write what training changed: adapters of scale `scale`, or all weights."""
    if scale is None:
        save_trained(model, folder / WEIGHTS)
    else:
        save_trained(model, folder / ADAPTERS, metadata={"scale": repr(scale)})


def load_model(
    path: Path,
    adapted: Path | None,
    *,
    keep_layers: int | None = None,
    dtype: torch.dtype = torch.float32,
    dropout: float = 0.0,
) -> Backbone:
    """`load_backbone(path, ...)` with the weights that `save_adapted` wrote into `adapted`, where there are any.

    What adaptation added is rounded to `dtype` once, after the sum.
    """
    if adapted is None:
        return load_backbone(path, keep_layers=keep_layers, dtype=dtype, dropout=dropout)
    backbone = load_adapted(load_backbone(path, keep_layers=keep_layers, dropout=dropout), adapted)
    for weight in backbone.module.parameters():
        weight.data = weight.data.to(dtype)  # and no buffer: frequencies of rotary positions need their 32 bits
    return backbone


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
    """W + scale * B A in the place of W, for every adapted module (Hu et al. 2021, section 4.1); of DoRA with the
    magnitudes that were trained for its rows (arXiv 2402.09353, equation 5)."""
    for name, down in weights.items():
        if ".lora_A." in name:
            target = module.get_submodule(name.partition(".lora_A.")[0])
            change = scale * weights[name.replace(".lora_A.", ".lora_B.")] @ down
            weight = target.get_parameter("weight")
            weight += change.T if isinstance(target, Conv1D) else change
            if (magnitude := weights.get(name.replace(".lora_A.", f".{MAGNITUDE}."))) is not None:
                rows = weight.T if isinstance(target, Conv1D) else weight
                rows *= (magnitude / rows.norm(dim=1))[:, None]
