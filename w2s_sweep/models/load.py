"""Load a pretrained transformer from a local folder or GGUF file: no network, no code or pickle from the folder, and
no weight left at a random value without an error."""

import logging
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from w2s_sweep.errors import ModelError, unknown
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.models.gguf import convert
from w2s_sweep.models.last_block import skip_unread
from w2s_sweep.models.packed import enable_packing
from w2s_sweep.models.peft_adapter import add_adapter, has_adapter
from w2s_sweep.sources.model_folder import TOKENIZER_FILES

SPARE = re.compile(r"(^|\.)(pooler|lm_head|cls|position_ids)(\.|$)")
"""Weights that a checkpoint may lack: nothing here computes with them."""
TANH_GELU = ("gelu_new", "gelu_fast")
"""Names of 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) that transformers computes term by term."""
BROKEN = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ImportError, SafetensorError)
"""What transformers raises about files that are damaged or not supported."""


def load_backbone(
    path: Path, *, keep_layers: int | None = None, dtype: torch.dtype = torch.float32, dropout: float = 0.0
) -> Backbone:
    """The transformer in `path` (a folder as transformers saves it, or a `.gguf` file), on the CPU, in eval mode.

    `keep_layers` keeps the first blocks only; the others are never read. `dropout` replaces every dropout probability
    of the model's configuration. Raises ModelError.
    """
    with quiet_libraries():
        folder, config, text, is_decoder = _describe(path, keep_layers)
        _set_dropout(text, dropout)
        _set_gelu(text)
        # Keys and values of earlier tokens serve decoding and prompts alone, which ask for them in their own calls.
        text.use_cache = False
        module = (
            _with_adapter(folder, config, dtype, keep_layers) if has_adapter(folder) else _module(folder, config, dtype)
        )
        backbone = Backbone(
            module=module,
            tokenizer=_tokenizer(folder),
            layers=int(text.num_hidden_layers),
            hidden=int(text.hidden_size),
            is_decoder=is_decoder,
            tied=bool(getattr(config, "tie_word_embeddings", True)),
            folder=folder,
        )
        return with_fast_passes(backbone)


def with_fast_passes(backbone: Backbone) -> Backbone:
    """The same backbone, which from now on reads packed batches, and leaves out what nobody reads, where two texts have
    the same states that way."""
    packed = enable_packing(backbone.module, backbone.first_position, backbone.pad_id, BROKEN)
    skips = packed is not None and skip_unread(backbone, packed, BROKEN)
    return replace(backbone, packs=packed is not None, skips=skips)


@dataclass(frozen=True)
class ModelShape:
    """What config.json says about a transformer."""

    layers: int
    """Blocks that are kept."""
    is_decoder: bool


def read_shape(path: Path, keep_layers: int | None = None) -> ModelShape:
    """The shape of the transformer in `path` as `load_backbone` would load it; no weight is read. Raises ModelError."""
    with quiet_libraries():
        _, _, text, is_decoder = _describe(path, keep_layers)
    return ModelShape(int(text.num_hidden_layers), is_decoder)


def _describe(path: Path, keep_layers: int | None) -> tuple[Path, PretrainedConfig, PretrainedConfig, bool]:
    """(folder, configuration, the part of it about text, whether it is a decoder)."""
    folder = convert(path) if path.suffix == ".gguf" else path
    config = _config(folder)
    text = config.get_text_config()
    is_decoder = _is_decoder(text, folder)
    # Set before the model is built: blocks that it does not have are never read from disk.
    _keep(text, keep_layers, folder)
    return folder, config, text, is_decoder


@contextmanager
def quiet_libraries() -> Generator[None]:
    """Keep the loading reports and progress bars of transformers out of the log; failures raise anyway."""
    level = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


def _config(folder: Path) -> PretrainedConfig:
    if not folder.is_dir():
        raise ModelError(f"model {folder}: not a folder. Give a folder saved by transformers, or a .gguf file.")
    if not (folder / "config.json").is_file():
        inside = ", ".join(sorted(p.name for p in folder.iterdir())[:10]) or "nothing"
        raise ModelError(
            f"model {folder}: it holds no config.json (found {inside}). Give the folder that holds config.json, "
            "*.safetensors and the tokenizer files; a GGUF model is given by the path of its .gguf file."
        )
    with explain_load_errors(folder, "its config.json cannot be read"):
        name = str(PretrainedConfig.get_config_dict(folder)[0].get("model_type", ""))
    if name not in CONFIG_MAPPING:
        raise ModelError(
            f"model {folder}: {unknown('model_type in config.json', name, CONFIG_MAPPING.keys())} "
            "Code that comes with a model is never run: use a newer transformers or another model."
        )
    with explain_load_errors(folder, "its config.json cannot be read"):
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


def _is_decoder(config: PretrainedConfig, folder: Path) -> bool:
    kind = config.model_type
    masked, causal = kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES, kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if config.is_encoder_decoder or not (masked or causal):
        raise ModelError(
            f"model {folder}: architecture {kind!r} is neither a causal nor a masked language model. "
            "Use a decoder such as llama, gpt2, gpt_neox, qwen3, gemma3, olmo2, or an encoder such as bert, modernbert."
        )
    # BERT and its like are in both tables, since they can be run as decoders: the masked head decides.
    return not masked


def _keep(config: PretrainedConfig, keep: int | None, folder: Path) -> None:
    layers = config.num_hidden_layers
    if keep is None or keep == layers:
        return
    if not 1 <= keep < layers:
        raise ModelError(f"model.keep_layers: {keep}, but {folder} has {layers} layers. Use 1 to {layers}, or null.")
    for name, value in list(vars(config).items()):
        if isinstance(value, list) and len(value) == layers:  # such as layer_types: one entry a layer
            setattr(config, name, value[:keep])
    config.num_hidden_layers = keep


def _set_dropout(config: PretrainedConfig, probability: float) -> None:
    for name, value in list(vars(config).items()):
        if re.search(r"dropout|pdrop", name) and isinstance(value, float | int) and not isinstance(value, bool):
            setattr(config, name, probability)


def _set_gelu(config: PretrainedConfig) -> None:
    """One kernel for GPT-2's activation, whose formula in Python keeps eight float32 temporaries for the backward
    pass."""
    for name, value in list(vars(config).items()):
        if isinstance(value, str) and value in TANH_GELU:
            setattr(config, name, "gelu_pytorch_tanh")


def _module(folder: Path, config: PretrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"model {folder}: it holds no .safetensors file. Weights in .bin files are pickles, which can run code, "
            "and are never loaded: use a revision with safetensors, or load and save the model once with transformers."
        )
    with explain_load_errors(folder, "its weights cannot be loaded"):
        module, report = AutoModel.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            trust_remote_code=False,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    # transformers only warns of weights that a checkpoint lacks, and leaves them at random values.
    missing = sorted(name for name in report["missing_keys"] if not SPARE.search(name))
    if missing:
        raise ModelError(
            f"model {folder}: its safetensors lack {len(missing)} weights of {type(module).__name__}, such as "
            f"{missing[0]}; they would be random. Check that the download is complete and fits config.json."
        )
    module = getattr(module, "language_model", module)  # the text part of a multimodal model
    if getattr(module, "pooler", None) is not None:  # a layer on [CLS] that no read-out here uses
        module.pooler = None
    return module.eval()


def _with_adapter(folder: Path, config: PretrainedConfig, dtype: torch.dtype, keep: int | None) -> PreTrainedModel:
    """The base with the products of its adapter, rounded once, after the sum."""
    module = _module(folder, config, torch.float32)
    add_adapter(module, folder, keep_layers=keep)
    for weight in module.parameters():
        weight.data = weight.data.to(dtype)  # and no buffer: frequencies of rotary positions need their 32 bits
    return module


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ModelError(
            f"model {folder}: it holds no tokenizer (none of {', '.join(TOKENIZER_FILES)}). "
            "Copy the tokenizer files of the model into this folder."
        )
    with explain_load_errors(folder, "its tokenizer cannot be loaded"):
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


@contextmanager
def explain_load_errors(path: Path, what: str) -> Generator[None]:
    """Turn what transformers raises about a damaged or unsupported model into a ModelError."""
    try:
        yield
    except BROKEN as error:
        raise ModelError(f"model {path}: {what}: {_first_lines(error)}") from error


def _first_lines(error: Any, most: int = 400) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else text[:most] + " ..."
