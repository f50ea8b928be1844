"""What is known of a model before it is loaded: names and shapes of its weights out of the heads of its files, and its
tokenizer."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol, Self, cast

from safetensors import SafetensorError, safe_open

from w2s_sweep.sources.model_facts import read_json, with_text_part

EMBEDDINGS = ("embed", "wte", "wpe", "lm_head", "score")
"""Parts of names of matrices that are looked up in, or read out of, and no target of adapters."""
POSITIONS = ("wpe", "position_embeddings", "embed_positions")
"""Last parts of names of tables of absolute positions."""


class _Slice(Protocol):
    def get_shape(self) -> Sequence[int]: ...


class _Opened(Protocol):
    """What is used of a safetensors file; the package has no types."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def keys(self) -> Sequence[str]: ...
    def get_slice(self, name: str) -> _Slice: ...


@cache
def shapes(folder: Path) -> Mapping[str, tuple[int, ...]]:
    """Dotted name of each module with a weight -> its shape; empty without safetensors files (GGUF names weights
    otherwise), or where they cannot be read, which loading them reports better."""
    found: dict[str, tuple[int, ...]] = {}
    try:
        for path in folder.glob("*.safetensors"):
            with cast(_Opened, safe_open(path, framework="numpy")) as file:
                for name in file.keys():  # noqa: SIM118 - not a dict
                    if name.endswith(".weight"):
                        found[name.removesuffix(".weight")] = tuple(file.get_slice(name).get_shape())
    except (OSError, SafetensorError):
        return {}
    return found


@cache
def matrices(folder: Path) -> frozenset[str]:
    """Dotted names of the modules that adapters can be put on."""
    return frozenset(
        name
        for name, shape in shapes(folder).items()
        if len(shape) == 2 and not any(part in name for part in EMBEDDINGS)
    )


@cache
def positions(folder: Path) -> int | None:
    """Tokens that a table of absolute positions has room for; None where there is none."""
    for name, shape in shapes(folder).items():
        last = name.rsplit(".", 1)[-1]
        if last in POSITIONS:
            return shape[0] - _find_unused(last, read_config(folder))
    return None


@cache
def lists_blocks(folder: Path) -> bool:
    """Whether every block has weights of its own, named by its number; also where that cannot be told. A model that
    passes one block several times (ALBERT) has no states between blocks that could be read."""
    layers, names = read_config(folder).get("num_hidden_layers"), shapes(folder)
    numbers = [next((int(part) for part in name.split(".") if part.isdigit()), -1) for name in names]
    return not names or not isinstance(layers, int) or max(numbers) + 1 >= layers


def _find_unused(table: str, config: Mapping[str, Any]) -> int:
    """Rows at the beginning of a table that stand for no position."""
    if table == "embed_positions":  # OPT
        return 2
    shifted = ("roberta", "camembert", "mpnet", "longformer")
    return int(config.get("pad_token_id") or 0) + 1 if any(k in config.get("model_type", "") for k in shifted) else 0


def context_length(folder: Path) -> int | None:
    """Tokens that a model with relative positions was made for, as its configuration says; None where it does not."""
    found = read_config(folder).get("max_position_embeddings")
    return found if isinstance(found, int) else None


def read_config(folder: Path) -> Mapping[str, Any]:
    """What config.json says of a model's text part; empty where it cannot be read."""
    return with_text_part(read_json(folder / "config.json"))


def longest(folder: Path, texts: Sequence[str], more_than: int, among: int = 64) -> int:
    """Tokens of the longest of the `among` longest texts, special ones included; 0 where no text can have `more_than`,
    or without a tokenizer that can be read alone."""
    large = sorted((text for text in texts if len(text.encode()) + 8 > more_than), key=lambda text: -len(text.encode()))
    return max(_lengths(folder, large[:among]), default=0)


def mean_length(folder: Path, texts: Sequence[str], among: int = 256) -> float:
    """Mean tokens of some texts; 0 without a tokenizer that can be read alone."""
    lengths = _lengths(folder, texts[:: max(1, len(texts) // among)])
    return sum(lengths) / max(1, len(lengths))


def _lengths(folder: Path, texts: Sequence[str]) -> list[int]:
    path = folder / "tokenizer.json"
    if not texts or not path.is_file():
        return []
    from tokenizers import Tokenizer  # not needed to plan

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception:  # the library raises nothing narrower; loading the model reports it better
        return []
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [len(encoded.ids) for encoded in tokenizer.encode_batch(list(texts))]
