"""Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): only they and a classifier's head train, and only they are
saved."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from w2s_sweep.config.finetune import ALL_LINEAR
from w2s_sweep.errors import ModelError, unknown
from w2s_sweep.models.ranks import as_shared, this_process, whole

ADAPTER = "default"
"""What peft calls an adapter that got no name."""


class Tuneable(Protocol):
    """A model with something that reads a transformer's states."""

    transformer: PreTrainedModel


def add_lora(
    model: Tuneable,
    *,
    rank: int,
    alpha: float,
    targets: Sequence[str],
    seed: int,
    dropout: float = 0.0,
    dora: bool = False,
) -> None:
    """Freeze the transformer and put adapters of scale alpha / rank on its linear modules named in `targets`, of
    `all-linear` on all of them but the output of Mamba's mixers and, where a model has experts, feed-forward matrices;
    with `dora` each has magnitudes too.

    The adapters start as the identity, drawn from `seed` alone. Raises ModelError when a target names no linear module.
    """
    if dora and this_process().size > 1:
        raise ModelError(
            "finetune.dora: the magnitudes of a matrix are those of the whole of it, which is shared out here. Set "
            "hydra.launcher.gpus=1."
        )
    from peft import LoraConfig, inject_adapter_in_model  # slow to import, and most stages have no adapters

    linear = _linear_modules(model.transformer)
    experts = any(".experts." in name for name, _ in model.transformer.named_parameters())
    chosen = [name for target in targets for name in _find_modules(target, linear, experts=experts)]
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # pyright: ignore[reportArgumentType] - a ratio, any number will do
        lora_dropout=dropout,
        target_modules=sorted(set(chosen)),
        # GPT-2's Conv1D stores the transpose of a linear layer's weight.
        fan_in_fan_out=any(isinstance(linear[name], Conv1D) for name in chosen),
        bias="none",
        use_dora=dora,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        # Not get_peft_model, which wraps the model and changes the names of its parameters.
        inject_adapter_in_model(config, model.transformer)
    _require_adapted(model.transformer, set(chosen))
    for parameter in trainable(model.transformer).values():  # peft makes them as the frozen weights are
        parameter.data = parameter.data.float()


def _require_adapted(transformer: nn.Module, chosen: set[str]) -> None:
    """ModelError where peft has put adapters elsewhere: names of an expert's matrices are to it those of all experts, a
    tensor since transformers 5 (`peft.utils.transformers_weight_conversion`)."""
    adapted = {name.partition(".lora_A.")[0] for name in trainable(transformer) if ".lora_A." in name}
    if adapted != chosen:
        raise ModelError(
            f"lora_targets: {', '.join(sorted(chosen - adapted)[:3])} would become adapters of experts, "
            f"{', '.join(sorted(adapted - chosen)[:3])}, which are not trained here. Name modules of attention alone."
        )


def remove_lora(transformer: PreTrainedModel) -> None:
    """Undo `add_lora`, also one that failed halfway: the linear modules stand in their places again."""
    if "peft" not in sys.modules:
        return  # then nothing has adapters, and importing it takes a second
    from peft.tuners.tuners_utils import BaseTunerLayer

    for parent in list(transformer.modules()):
        for name, inner in list(parent.named_children()):
            if isinstance(inner, BaseTunerLayer):
                setattr(parent, name, inner.get_base_layer())
    vars(transformer).pop("peft_config", None)


def lora_layers(transformer: PreTrainedModel) -> dict[str, tuple[Tensor, Tensor, float]]:
    """Name of an adapted module -> what `add_lora` put on it: (down [rank, inputs], up [outputs, rank], scale)."""
    from peft.tuners.lora import LoraLayer

    found: dict[str, tuple[Tensor, Tensor, float]] = {}
    for name, inner in transformer.named_modules():
        if isinstance(inner, LoraLayer):
            layer: Any = inner
            found[name] = (layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight, layer.scaling[ADAPTER])
    return found


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Name -> parameter of what an optimizer updates."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def save_trained(module: nn.Module, path: Path, prefix: str = "", metadata: dict[str, str] | None = None) -> None:
    """Write what training changed, of names that begin with `prefix` alone; no file where there is nothing.

    Of a model that processes share every one has to call this, and the first one writes.
    """
    leads, values = this_process().leads, dict[str, Tensor]()
    for name, parameter in trainable(module).items():
        if name.startswith(prefix):
            value = whole(parameter.detach())
            if leads:
                values[name] = value.cpu().contiguous()
    if values:
        save_file(values, path, metadata)


def restore(parameters: Mapping[str, Tensor], stored: Mapping[str, Tensor], what: str) -> None:
    """Put stored values in the place of all `parameters`; ModelError where they are of others. `what` they are of."""
    if parameters.keys() != stored.keys():
        raise ModelError(f"{what}: they are those of another model. Run `w2s verify`, then the sweep again.")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(as_shared(stored[name], parameter))


def _linear_modules(module: nn.Module) -> dict[str, nn.Module]:
    return {name: inner for name, inner in module.named_modules() if isinstance(inner, nn.Linear | Conv1D)}


def _find_modules(target: str, linear: Mapping[str, nn.Module], *, experts: bool) -> list[str]:
    if target == ALL_LINEAR:
        # PEFT refuses Mamba's, and takes names of feed-forward matrices for those of experts, see `_require_adapted`.
        left_out = (".mixer.out_proj", *((".gate_proj", ".up_proj", ".down_proj") if experts else ()))
        return [name for name in linear if not name.endswith(left_out)]
    found = [name for name in linear if name == target or name.endswith(f".{target}")]
    if not found:
        raise ModelError(unknown("model.lora_targets", target, {name.rsplit(".", 1)[-1] for name in linear}))
    return found
