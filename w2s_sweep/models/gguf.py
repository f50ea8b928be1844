"""A GGUF file is dequantised once, to a folder of safetensors in the cache that is published by a rename: a folder
that is there is complete, and two processes that convert at once do no harm."""

from copy import deepcopy
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from w2s_sweep.errors import ModelError
from w2s_sweep.sources.cache import cache_root, publishing
from w2s_sweep.store.files import sha256_file

CONVERSION = 1
"""Bumped by hand when the conversion would give other weights or another tokenizer."""


def convert(path: Path) -> Path:
    """The folder with the float32 weights and the tokenizer of the GGUF file `path`; ModelError if it has none."""
    if not path.is_file():
        raise ModelError(f"model {path}: no such file. Give the path of a .gguf file, or of a transformers folder.")
    folder = cache_root() / "gguf" / f"{sha256_file(path)[:20]}-v{CONVERSION}"
    if not folder.is_dir():
        with publishing(folder) as work:
            _convert(path, work)
    return folder


def _convert(path: Path, folder: Path) -> None:
    try:
        model = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32, local_files_only=True, trust_remote_code=False
        )
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True)
    # What transformers and its reader raise on damaged files: offsets and lengths that point anywhere.
    except (
        OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, ImportError,
        AssertionError, MemoryError,
    ) as error:  # fmt: skip
        raise ModelError(
            f"model {path}: transformers cannot read this GGUF file: {error}. "
            "Use a GGUF of an architecture it supports (llama, qwen2, qwen3, gemma3, ...), or the original weights."
        ) from error
    _dequantise(model).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _dequantise(model: PreTrainedModel) -> PreTrainedModel:
    """The same weights in a model that does not call itself quantised: such a one refuses to be saved."""
    # transformers marks every model out of GGUF as quantised and not serializable, although its weights are floats by
    # now: save_pretrained raises. A second model of the same class has no such mark.
    config = deepcopy(model.config)
    if hasattr(config, "quantization_config"):
        delattr(config, "quantization_config")
    # On meta, and filled with `assign`: the second model takes over the tensors of the first, and never has its own.
    with torch.device("meta"):
        plain = type(model)(config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    return plain
