"""A training's state in one safetensors file, written tensor by tensor: host memory holds a single one of them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import safe_open
from torch import Tensor

from w2s_sweep.models.ranks import as_shared, this_process, whole
from w2s_sweep.store.files import replacing
from w2s_sweep.training.stopping import Best

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Names of the format (https://github.com/huggingface/safetensors#format)."""


def save(path: Path, step: int, params: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, best: Best) -> None:
    """Replace the checkpoint in `path` by the state after `step` steps.

    It is the same whatever number of processes wrote it: rank 0 writes, the others help to put tensors together.
    """
    # safetensors, by name: torch.save writes a pickle, and an optimizer's own state names parameters by their place.
    metadata = {"step": str(step), "best step": str(best.step), "best score": repr(best.score)}
    tensors = dict(_tensors(params, optimizer, best))
    if not this_process().leads:
        for tensor in tensors.values():
            whole(tensor)
        return
    with replacing(path) as file:
        write_tensors(file, tensors, metadata)


def _tensors(
    params: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, best: Best
) -> Iterator[tuple[str, Tensor]]:
    for name, param in params.items():
        yield f"param.{name}", param.detach()
        for slot, value in optimizer.state[param].items():
            yield f"adam.{slot}.{name}", torch.as_tensor(value)
    for name, value in best.params.items():
        yield f"best.{name}", value


def write_tensors(file: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """As `safetensors.torch.save_file`, which first copies everything into memory: one tensor is there at a time."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little"))
    file.write(text)
    for tensor in tensors.values():
        file.write(whole(tensor).cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)


def restore(path: Path | None, params: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, best: Best) -> int:
    """Load parameters, Adam's state and the best parameters so far into what is there; returns the steps done."""
    if path is None or not path.is_file():
        return 0
    with safe_open(path, framework="pt") as file:
        for name, param in params.items():
            with torch.no_grad():
                param.copy_(as_shared(file.get_tensor(f"param.{name}"), param))
            slots = ("step", "exp_avg", "exp_avg_sq")
            if f"adam.step.{name}" in file.keys():  # noqa: SIM118 - not a dict
                state = {slot: file.get_tensor(f"adam.{slot}.{name}") for slot in slots}
                # The count of steps is where the parameter is: one kernel does it all.
                optimizer.state[param] = {
                    slot: value.to(param.device) if slot == "step" else _as_it_lies(as_shared(value, param), param)
                    for slot, value in state.items()
                }
        about = file.metadata()
        best.step, best.score = int(about.get("best step", 0)), float(about.get("best score", "-inf"))
        if best.step:
            best.params = {name: as_shared(file.get_tensor(f"best.{name}"), param) for name, param in params.items()}
        return int(about["step"])


def _as_it_lies(moment: Tensor, param: Tensor) -> Tensor:
    """In memory as its parameter: the kernel goes through both side by side."""
    return moment if moment.stride() == param.stride() else torch.empty_like(param).copy_(moment)
