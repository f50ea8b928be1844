"""Frozen weights in 4 bits: NormalFloat with scales that are quantised themselves (Dettmers et al. 2023, QLoRA, arXiv
2305.14314), by the package bitsandbytes. Weights are quantised on the CPU, whatever computes later:
to the same numbers."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from w2s_sweep.config.finetune import lacking
from w2s_sweep.errors import ModelError
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.ranks import this_process

HOW = {"blocksize": 64, "compress_statistics": True, "quant_type": "nf4"}
"""64 weights have one scale."""


def to_nf4(backbone: Backbone) -> None:
    """Replace, in place, every linear layer of the blocks by one that computes the same from 4 bits a weight; biases,
    norms and embeddings stay as they are. ModelError without the package, or on several GPUs."""
    library = _library()
    if this_process().size > 1:
        raise ModelError(
            "finetune.quantise: nf4 computes on one GPU, and this stage was given several. Set hydra.launcher.gpus=1, "
            "or finetune.quantise=none, whose weights are shared out."
        )
    for parent, name, layer in _layers(backbone):
        weight = _matrix(layer)
        made = library.nn.Linear4bit(
            weight.shape[1], weight.shape[0], bias=layer.bias is not None, compute_dtype=weight.dtype, device="meta"
        )
        made.weight = library.nn.Params4bit(weight, requires_grad=False, **HOW).to("cpu")
        made.bias = layer.bias
        setattr(parent, name, made)
    known: Any = backbone.module
    known.is_loaded_in_4bit = True  # by which peft knows what layers it meets


def round_to_nf4(backbone: Backbone) -> None:
    """Give every weight that `to_nf4` would replace the value that its 4 bits stand for."""
    functional = _library().functional
    for _, _, layer in _layers(backbone):
        bits, state = functional.quantize_4bit(_matrix(layer), **HOW)
        rounded = functional.dequantize_4bit(bits, state).to(torch.float32)
        layer.weight.data = rounded.T.contiguous() if isinstance(layer, Conv1D) else rounded


def is_nf4(backbone: Backbone) -> bool:
    return bool(getattr(backbone.module, "is_loaded_in_4bit", False))


def _library() -> Any:
    if problem := lacking("nf4"):
        raise ModelError(problem)
    import bitsandbytes  # pyright: ignore[reportMissingImports] - optional

    return bitsandbytes


def _layers(backbone: Backbone) -> list[tuple[nn.Module, str, Any]]:
    """(module that has it, its name there, linear layer) of all blocks."""
    return [
        (parent, name, layer)
        for parent in backbone.blocks.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, nn.Linear | Conv1D)
    ]


def _matrix(layer: Any) -> Tensor:
    """[outputs, inputs]"""
    weight = layer.weight.data
    return weight.T.contiguous() if isinstance(layer, Conv1D) else weight
