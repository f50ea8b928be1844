"""Models that nobody has trained: Llamas with random weights that read any text byte by byte, and the words of made-up
tasks whole, written where they are needed.

They are small enough to learn a made-up task from its first example on within minutes, on a CPU and without a network.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, cast

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.config.plain import plain
from w2s_sweep.config.source import ScratchSource
from w2s_sweep.errors import SourceError
from w2s_sweep.sources.cache import cache_root, publishing

VERSION = 1
"""Bumped by hand whenever the same settings would give another model."""
SPECIAL = ("<bos>", "<eos>", "<pad>")
WORDS = (
    "Question",
    "Answer",
    " ####",
    " +",
    " -",
    " =",
    " ?",
    *(f" {n}" for n in range(100)),
    *map(str, range(10, 100)),
)
"""What is one token beside every byte; of two that begin alike the one further in front is made first."""
SPREAD = 0.02
"""Standard deviation of all matrices at the beginning (Touvron et al. 2023 and transformers' default)."""


def identify(source: ScratchSource) -> dict[str, Any]:
    """The settings and the version of the code; nothing is computed. Raises SourceError."""
    if source.hidden % (2 * source.heads):
        raise SourceError(
            f"source.heads: got {source.heads}, but {source.hidden} numbers (source.hidden) are divided among them, "
            "an even count for each, since positions turn pairs of numbers. Choose others."
        )
    return plain(source) | {"version": VERSION}


def fetch(source: ScratchSource) -> Path:
    """A folder of the cache as transformers saves a model, made if it is not there yet. Raises SourceError."""
    folder = _place(source)
    if not folder.exists():
        with publishing(folder) as work:
            write(source, work)
    return folder


def find(source: ScratchSource) -> Path | None:
    """The folder, if it was made."""
    folder = _place(source)
    return folder if folder.exists() else None


def write(source: ScratchSource, folder: Path) -> None:
    """Configuration, weights and tokenizer, into a folder that is there."""
    import safetensors.numpy  # not needed to plan

    (folder / "config.json").write_text(json.dumps(_config(source), indent=1))
    files = cast(Any, safetensors.numpy)  # some of its types are unknown
    files.save_file(_weights(source), folder / "model.safetensors", metadata={"format": "pt"})
    _write_tokenizer(folder)


def _place(source: ScratchSource) -> Path:
    digest = hashlib.sha256(json.dumps(identify(source), sort_keys=True).encode()).hexdigest()[:20]
    return cache_root() / "scratch" / f"{source.layers}x{source.hidden}-{digest}"


def _config(source: ScratchSource) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(_tokens()[0]),
        "hidden_size": source.hidden,
        "intermediate_size": 4 * source.hidden,
        "num_hidden_layers": source.layers,
        "num_attention_heads": source.heads,
        "num_key_value_heads": source.heads,
        "max_position_embeddings": source.context,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
    }


def _weights(source: ScratchSource) -> dict[str, Array]:
    """Name in Llama's checkpoints -> float32 values. The unembedding is the embedding."""
    draw, width = np.random.default_rng(source.seed), source.hidden

    def matrix(rows: int, columns: int) -> Array:
        return (SPREAD * draw.standard_normal((rows, columns))).astype(np.float32)

    found = {"model.embed_tokens.weight": matrix(len(_tokens()[0]), width)}
    for block in range(source.layers):
        name = f"model.layers.{block}"
        for part in "qkvo":
            found[f"{name}.self_attn.{part}_proj.weight"] = matrix(width, width)
        for part in ("gate", "up"):
            found[f"{name}.mlp.{part}_proj.weight"] = matrix(4 * width, width)
        found[f"{name}.mlp.down_proj.weight"] = matrix(width, 4 * width)
        for part in ("input", "post_attention"):
            found[f"{name}.{part}_layernorm.weight"] = np.ones(width, dtype=np.float32)
    return found | {"model.norm.weight": np.ones(width, dtype=np.float32)}


def _tokens() -> tuple[list[str], list[tuple[str, str]]]:
    """(all tokens by their ids, pairs of tokens that become one, in this order), bytes as characters."""
    from tokenizers import pre_tokenizers  # not needed to plan

    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    merges: dict[tuple[str, str], None] = {}
    for word in WORDS:
        ((letters, _),) = level.pre_tokenize_str(word)
        merges |= dict.fromkeys((letters[:end], letters[end]) for end in range(1, len(letters)))
    return [*SPECIAL, *sorted(level.alphabet()), *(first + then for first, then in merges)], list(merges)


def _write_tokenizer(folder: Path) -> None:
    """In the format of transformers; nothing is added to a text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # not needed to plan

    tokens, merges = _tokens()
    tokenizer: Any = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(folder / "tokenizer.json"))
    names = dict(zip(("bos_token", "eos_token", "pad_token"), SPECIAL, strict=True))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | names, indent=1))
