"""What is wrong with a folder that is to be a model: told at once, without torch."""

import json
import struct
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from w2s_sweep.config.read import is_mapping
from w2s_sweep.errors import SourceError
from w2s_sweep.sources.model_facts import (
    ATTENTION_HEADS,
    HIDDEN,
    LAYERS,
    SIZES,
    find_number,
    read_gguf,
    read_header,
    read_json,
    with_text_part,
)

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer_config.json",
)
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.msgpack", "*.h5")


def problem_of(folder: Path) -> str | None:
    """Why the folder cannot be trained, and which one to give instead; None where nothing speaks against it."""
    if folder.is_file():
        if folder.suffix.lower() != ".gguf":
            return f"is a file. Give its folder, {folder.parent}, or a .gguf."
        return _gguf_problem(folder)
    if (folder / "adapter_config.json").is_file():
        base = read_json(folder / "adapter_config.json").get("base_model_name_or_path")
        return (
            "holds an adapter (adapter_config.json) beside a model's files, which training would drop or freeze: "
            f"give a folder with the adapter alone, or merge it into its base ({base}) with peft's merge_and_unload."
        )
    if not (folder / "config.json").is_file():
        return _without_config(folder)
    return _config_problem(folder) or _weights_problem(folder) or _tokenizer_problem(folder)


def problem_without_weights(folder: Path) -> str | None:
    """Why a model cannot be trained, of a folder that has its configuration and tokenizer alone."""
    if (folder / "adapter_config.json").is_file():
        return "holds an adapter (adapter_config.json) beside a model's files. Give one that has the adapter alone."
    if not (folder / "config.json").is_file():
        return _without_config(folder)
    return _config_problem(folder) or _tokenizer_problem(folder)


def _without_config(folder: Path) -> str:
    inside = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    near = _inside(folder)
    if near:
        return f"is no model, one of the folders inside is: give {near[-1]}."
    if (folder / "model_index.json").is_file():
        return "is a pipeline of diffusers, not a language model."
    if (folder / "params.json").is_file():
        return "is in the format of the original Llama release. Convert it with transformers' conversion script."
    found = ", ".join(inside[:8]) or "nothing"
    return f"holds no config.json (found: {found}). Give the folder that save_pretrained wrote."


def _inside(folder: Path) -> list[Path]:
    """Folders below that hold a config.json, the last one the best: the newest checkpoint, the snapshot of a cache."""
    found = [
        path.parent for depth in ("*", "snapshots/*", "*/snapshots/*") for path in folder.glob(f"{depth}/config.json")
    ]

    def step(path: Path) -> tuple[int, str]:
        number = path.name.rpartition("-")[2]
        return (int(number) if number.isdigit() else -1, path.name)

    return sorted(found, key=step)


def _config_problem(folder: Path) -> str | None:
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        return f"has a config.json that cannot be read ({error}). Restore the file."
    if not is_mapping(config) or not config.get("model_type"):
        return "has a config.json without model_type: it is no model of transformers."
    family, text = str(config["model_type"]), with_text_part(config)
    if config.get("is_encoder_decoder"):
        return f"is an encoder-decoder ({family}). Give a decoder, such as Llama, or an encoder, such as BERT."
    if quantized := config.get("quantization_config"):
        how = quantized.get("quant_method", "some method") if is_mapping(quantized) else "some method"
        return f"is quantised ({how}), and such weights cannot be trained. Give the original weights."
    if config.get("auto_map") and not _is_native(family):
        return f"needs code of its own ({family}: auto_map), which is never run. Give a model that transformers knows."
    if not all(find_number(text, *names) for names in (LAYERS, HIDDEN)) or not find_number(text, "vocab_size"):
        return f"is no language model: its config.json ({family}) has no layers, width or vocabulary."
    return _number_problem(family, text)


def _number_problem(family: str, config: Mapping[str, Any]) -> str | None:
    """Sizes that no model has; transformers finds them when a stage begins, or fails in a division."""
    for name in (*LAYERS, *HIDDEN, *ATTENTION_HEADS, *SIZES):
        value = config.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
            return f"has {name}: {value} in its config.json ({family}), which must be above 0. Restore the file."
    return None


def _gguf_problem(path: Path) -> str | None:
    try:
        facts = read_gguf(path)
    # What the reader meets in a damaged file: offsets and lengths that point anywhere, text that is none.
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError) as error:
        return f"cannot be read as GGUF ({type(error).__name__}: {error}). Copy it again."
    if min(facts.layers, facts.hidden, facts.params, 1 if facts.heads is None else facts.heads) <= 0:
        return f"is a GGUF file ({facts.family}) without layers, width, heads or weights. Copy it again."
    return None


def _is_native(family: str) -> bool:
    """Whether the installed transformers has the architecture, without importing it."""
    spec = find_spec("transformers")
    if spec is None or spec.origin is None:
        return True
    name, models = family.replace("-", "_"), Path(spec.origin).parent / "models"
    return any(name == one.name or name.startswith(f"{one.name}_") for one in models.iterdir() if one.is_dir())


def _weights_problem(folder: Path) -> str | None:
    files, named = sorted(folder.glob("*.safetensors")), weight_files(folder)
    absent = [name for name in named if not (folder / name).is_file()]
    if absent:
        return f"lacks {len(absent)} of {len(named)} files of its weights, such as {absent[0]}. Complete the copy."
    if not files:
        pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
        if pickles:
            return (
                f"has its weights in {pickles[0]}, a pickle, which can run code and is never loaded. Load and save it "
                "once with transformers, which writes safetensors, or take a revision that has them."
            )
        near = _inside(folder)
        return (
            f"has no weights; give {near[-1]}." if near else "has no weights (no .safetensors file). Complete the copy."
        )
    for path in files:
        if why := damage_of(path):
            return f"has a file {path.name} that {why}. Copy it again."
    return None


def weight_files(folder: Path) -> list[str]:
    """The files of weights that the folder's index names; none where it has no index, and its weights are one file."""
    return sorted(set(read_json(folder / "model.safetensors.index.json").get("weight_map", {}).values()))


def damage_of(path: Path) -> str | None:
    """What is wrong with a safetensors file as a whole; None where its head is sound and nothing is cut off."""
    try:
        header = read_header(path)
    except PermissionError:
        return "you may not read (ask its owner for `chmod a+r`)"
    except (OSError, ValueError, TypeError, struct.error):
        with path.open("rb") as file:
            pointer = file.read(60).startswith(b"version https://git-lfs")
        return "is a pointer of git lfs, not the weights" if pointer else "is no safetensors file"
    end = max((int(one["data_offsets"][1]) for one in header.values() if "data_offsets" in one), default=0)
    with path.open("rb") as file:
        start = 8 + struct.unpack("<Q", file.read(8))[0]
    return "is cut off" if path.stat().st_size < start + end else None


def _tokenizer_problem(folder: Path) -> str | None:
    if any((folder / name).is_file() for name in TOKENIZER_FILES):
        return None
    return f"holds no tokenizer (none of {', '.join(TOKENIZER_FILES[:4])}, ...). Copy the tokenizer's files into it."


def require_model(folder: Path) -> None:
    """SourceError where the folder cannot be trained."""
    if why := problem_of(folder):
        raise SourceError(f"model {folder} {why}")
