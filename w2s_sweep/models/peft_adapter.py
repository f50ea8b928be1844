"""The products of a PEFT adapter, added to the weights of the model that it was trained on when that is loaded."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from w2s_sweep.errors import ModelError
from w2s_sweep.sources.adapter import CONFIG, DOWN, INSIDE, UP, WEIGHTS, module_of, scale_of
from w2s_sweep.sources.model_folder import read_json


def has_adapter(folder: Path) -> bool:
    """Whether a model's folder is one of a base and an adapter."""
    return (folder / INSIDE / CONFIG).is_file()


def add_adapter(module: nn.Module, folder: Path, *, partial: bool) -> None:
    """W + scale * B A in the place of W, for every product of the adapter in `folder` (Hu et al. 2021, section 4.1).

    `partial`: the model may lack the last blocks. ModelError where a product finds no module.
    """
    config, state = read_json(folder / INSIDE / CONFIG), load_file(folder / INSIDE / WEIGHTS)
    linear = {n: inner for n, inner in module.named_modules() if isinstance(inner, nn.Linear | Conv1D)}
    left = list[str]()
    for name, down in state.items():
        if not name.endswith(DOWN):
            continue
        wanted = module_of(name)
        target = next((inner for n, inner in linear.items() if wanted == n or wanted.endswith(f".{n}")), None)
        if target is None:
            left.append(wanted)
            continue
        up = state[name.removesuffix(DOWN) + UP]
        change = scale_of(config, wanted) * (up.float() @ down.float())
        with torch.no_grad():
            target.get_parameter("weight").add_(change.T if isinstance(target, Conv1D) else change)
    if left and not partial:
        raise ModelError(
            f"model {folder}: its adapter has products for {left[0]} and {len(left) - 1} more that "
            f"{type(module).__name__} lacks. Merge it into its base with peft's merge_and_unload, and give that."
        )
