"""What the files of a model say of it before it is loaded: names and shapes out of their heads, and its tokenizer."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from safetensors import SafetensorError, safe_open

EMBEDDINGS = ("embed", "wte", "wpe", "lm_head", "score")
"""Parts of names of matrices that are looked up in, or read out of, and no target of adapters."""
POSITIONS = ("wpe", "position_embeddings", "embed_positions")
"""Last parts of names of tables of absolute positions."""


@cache
def shapes(folder: Path) -> Mapping[str, tuple[int, ...]]:
    """Dotted name of each module with a weight -> its shape; empty without safetensors files (GGUF names weights
    otherwise), or where they cannot be read, which loading them tells better."""
    found: dict[str, tuple[int, ...]] = {}
    try:
        for path in folder.glob("*.safetensors"):
            with safe_open(path, framework="numpy") as file:
                for name in file.keys():  # noqa: SIM118 - not a dict
                    if name.endswith(".weight"):
                        found[name.removesuffix(".weight")] = tuple(file.get_slice(name).get_shape())
    except (OSError, SafetensorError):
        return {}
    return found


def matrices(folder: Path) -> frozenset[str]:
    """Dotted names of the modules that adapters can be put on."""
    return frozenset(
        name
        for name, shape in shapes(folder).items()
        if len(shape) == 2 and not any(part in name for part in EMBEDDINGS)
    )


def positions(folder: Path) -> int | None:
    """Rows of the table of absolute positions, which bound the length of a text; None where there is none."""
    rows = [shape[0] for name, shape in shapes(folder).items() if name.rsplit(".", 1)[-1] in POSITIONS]
    return max(rows, default=None)


def longest(folder: Path, texts: Sequence[str], among: int = 16) -> int:
    """Tokens of the longest of the `among` texts with most characters, special tokens included; 0 where there is no
    tokenizer that can be read alone."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return 0
    from tokenizers import Tokenizer  # not needed to plan

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception:  # the library raises nothing narrower; loading the model tells it better
        return 0
    tokenizer.no_truncation()
    tokenizer.no_padding()
    chosen = sorted(texts, key=len, reverse=True)[:among]
    return max((len(encoded.ids) for encoded in tokenizer.encode_batch(chosen)), default=0)
