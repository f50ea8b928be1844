"""What the weights of a model are called, read from the heads of its files alone: no framework, no weight."""

from functools import cache
from pathlib import Path

from safetensors import SafetensorError, safe_open

EMBEDDINGS = ("embed", "wte", "wpe", "lm_head", "score")
"""Parts of names of matrices that are looked up in, or read out of, and no target of adapters."""


@cache
def matrices(folder: Path) -> frozenset[str]:
    """Dotted names of the modules with a weight matrix in the safetensors files of `folder`; none if there are no such
    files (GGUF names weights otherwise) or they cannot be read, which loading them tells better."""
    found: set[str] = set()
    try:
        for path in folder.glob("*.safetensors"):
            with safe_open(path, framework="numpy") as file:
                names = [name for name in file.keys() if name.endswith(".weight")]  # noqa: SIM118 - not a dict
                found.update(name for name in names if len(file.get_slice(name).get_shape()) == 2)
    except (OSError, SafetensorError):
        return frozenset()
    modules = (name.removesuffix(".weight") for name in found)
    return frozenset(name for name in modules if not any(part in name for part in EMBEDDINGS))
