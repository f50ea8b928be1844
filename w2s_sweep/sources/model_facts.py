"""What the files of a model's folder say of it: size, shape and LoRA targets, read without torch."""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_sweep.config.read import is_mapping

HEADS = (
    "lm_head.", "cls.", "pooler.", "score.", "classifier.", "embed_out.", "vocab_", "head.", "predictions.",
    "generator_", "discriminator_", "decoder.weight", "decoder.bias",
)  # fmt: skip
"""How names of weights begin that are no part of the backbone."""
ENCODERS = ("bert", "roberta", "electra", "deberta", "modernbert", "albert", "camembert", "mpnet")
"""Parts of the `model_type` of models that read a text in both directions."""
TARGETS = (("gpt2", ("c_attn",)), ("gpt_neox", ("query_key_value",)), ("bloom", ("query_key_value",)),
           ("falcon", ("query_key_value",)), ("phi3", ("qkv_proj",)), ("distilbert", ("q_lin", "v_lin")),
           ("modernbert", ("Wqkv",)), ("deberta-v2", ("query_proj", "value_proj")), ("deberta", ("in_proj",)),
           ("mamba", ("in_proj", "x_proj")), ("mpt", ("Wqkv",)), ("bert", ("query", "value")),
           ("electra", ("query", "value")), ("roberta", ("query", "value")))  # fmt: skip
"""How a `model_type` begins or ends -> linear modules of attention that get adapters; others have q_proj and v_proj."""


LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
ATTENTION_HEADS = ("num_attention_heads", "n_head", "n_heads")
SIZES = ("num_key_value_heads", "intermediate_size", "n_inner", "ffn_dim", "head_dim", "vocab_size")
HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")


@dataclass(frozen=True)
class Facts:
    """What the files of a folder say of a model."""

    family: str
    params: int
    """Of the backbone, without a head; 0 where there is no safetensors file."""
    layers: int
    hidden: int
    heads: int | None
    context: int | None
    """Tokens that it was made for."""
    is_encoder: bool
    lora_targets: tuple[str, ...]


def read_facts(folder: Path, sizes: Mapping[str, int] | None = None) -> Facts:
    """What a folder without problems, or a .gguf file, says. `sizes`: numbers in each tensor, of weights that are not
    there."""
    if folder.is_file():
        return read_gguf(folder)
    whole = read_json(folder / "config.json")
    config = with_text_part(whole)
    family = str(whole["model_type"])
    return Facts(
        family=family,
        params=sum(n for name, n in (sizes or _sizes(folder)).items() if not name.startswith(HEADS)),
        layers=find_number(config, *LAYERS) or 0,
        hidden=find_number(config, *HIDDEN) or 0,
        heads=find_number(config, *ATTENTION_HEADS),
        context=find_number(config, "max_position_embeddings", "n_positions", "n_ctx"),
        is_encoder=any(part in family for part in ENCODERS),
        lora_targets=_latent(config) or _targets_of(family),
    )


def _latent(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The modules of attention that computes with latent vectors (DeepSeek-V2 and later); empty for others."""
    if not config.get("kv_lora_rank"):
        return ()
    return ("q_b_proj" if config.get("q_lora_rank") else "q_proj", "kv_b_proj")


def read_gguf(path: Path) -> Facts:
    """What a .gguf file says."""
    from gguf import GGUFReader  # not needed for folders

    reader = GGUFReader(path)
    family = str(reader.fields["general.architecture"].contents())

    def number(name: str) -> int | None:
        field = reader.fields.get(f"{family}.{name}")
        return None if field is None else int(field.contents())

    return Facts(
        family=family,
        params=sum(int(one.n_elements) for one in reader.tensors if one.name != "output.weight"),
        layers=number("block_count") or 0,
        hidden=number("embedding_length") or 0,
        heads=number("attention.head_count"),
        context=number("context_length"),
        is_encoder=any(part in family for part in ENCODERS),
        lora_targets=_targets_of(family),
    )


def _targets_of(family: str) -> tuple[str, ...]:
    found = (targets for name, targets in TARGETS if family.startswith(name) or family.endswith(name))
    return next(found, ("q_proj", "v_proj"))


def _sizes(folder: Path) -> dict[str, int]:
    heads = (read_header(path) for path in folder.glob("*.safetensors"))
    return {name: math.prod(one["shape"]) for head in heads for name, one in head.items()}


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a file of JSON; empty where it cannot be read."""
    try:
        found: Any = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return dict(found) if is_mapping(found) else {}


def with_text_part(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the settings of its part about text, of models that read more than that."""
    return {**config, **config.get("text_config", {})}


def find_number(config: Mapping[str, Any], *names: str) -> int | None:
    """The first of these settings that is a whole number; None where none is."""
    found = (config.get(name) for name in names)
    return next((int(value) for value in found if isinstance(value, int) and not isinstance(value, bool)), None)


def read_header(path: Path) -> Mapping[str, Any]:
    """Name -> dtype, shape and place of every tensor of a safetensors file."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > path.stat().st_size:
            raise ValueError(size)
        found: Any = json.loads(file.read(size))
    if not is_mapping(found):
        raise TypeError(path)
    return {name: one for name, one in found.items() if name != "__metadata__"}
