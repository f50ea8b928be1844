"""The products of a PEFT adapter, added to the weights of the model that it was trained on when that is loaded."""

import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from w2s_sweep.errors import ModelError
from w2s_sweep.sources.adapter import CONFIG, DOWN, INSIDE, UP, WEIGHTS, is_spare, module_of, scale_of
from w2s_sweep.sources.model_facts import read_json


def has_adapter(folder: Path) -> bool:
    """Whether a model's folder is one of a base and an adapter."""
    return (folder / INSIDE / CONFIG).is_file()


BLOCK = re.compile(r"\.(\d+)\.")
"""The number of a block in a module's name, the first one."""


def add_adapter(module: nn.Module, folder: Path, *, keep_layers: int | None) -> None:
    """W + scale * B A in the place of W, for every product of the adapter in `folder` (Hu et al. 2021, section 4.1).

    `keep_layers`: the model has the first blocks alone. ModelError where a product finds no module, or where the
    adapter belongs to a larger model, as one of images and text, of which this is a part.
    """
    config, state = read_json(folder / INSIDE / CONFIG), load_file(folder / INSIDE / WEIGHTS)
    linear = {n: inner for n, inner in module.named_modules() if isinstance(inner, nn.Linear | Conv1D)}
    left, before = list[str](), set[str]()
    for name, down in state.items():
        wanted = module_of(name)
        if not name.endswith(DOWN) or is_spare(wanted) or _is_cut_off(wanted, keep_layers):
            continue
        found = max((n for n in linear if wanted == n or wanted.endswith(f".{n}")), key=len, default=None)
        if found is None:
            left.append(wanted)
            continue
        before.add(wanted.removesuffix(found))
        target = linear[found]
        up = state[name.removesuffix(DOWN) + UP]
        change = scale_of(config, wanted) * (up.float() @ down.float())
        with torch.no_grad():
            target.get_parameter("weight").add_(change.T if isinstance(target, Conv1D) else change)
    if left or len(before) > 1:
        raise ModelError(
            f"model {folder}: its adapter has products for "
            f"{left[0] if left else 'modules in ' + ' and '.join(sorted(before))}, and {type(module).__name__} is not "
            "all of these. Merge it into its base with peft's merge_and_unload, and give that."
        )


def _is_cut_off(module: str, keep_layers: int | None) -> bool:
    """Whether a module is in a block that is not kept."""
    block = BLOCK.search(f".{module}.")
    return keep_layers is not None and block is not None and int(block[1]) >= keep_layers
