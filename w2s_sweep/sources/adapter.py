"""A PEFT adapter on its base: one folder of the cache that links to the files of the base and holds the adapter, whose
products are added when the model is loaded (`models.peft_adapter`). What cannot be added is refused without torch."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from w2s_sweep.config.source import AdapterSource, HubSource, LocalSource
from w2s_sweep.errors import SourceError
from w2s_sweep.sources import local
from w2s_sweep.sources.cache import cache_root, publishing
from w2s_sweep.sources.model_facts import read_header, read_json
from w2s_sweep.sources.model_folder import damage_of
from w2s_sweep.sources.weights import shapes

INSIDE = "adapter"
"""Folder with the adapter, inside that of the model it is on."""
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BASE = "base_model_name_or_path"
UNHASHED = (BASE, "revision", "inference_mode", "task_type", "peft_version", "lora_dropout", "auto_mapping")
"""Settings that do not change what is added; the base enters the key by its content."""
UNDERSTOOD = (
    *UNHASHED, "peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "fan_in_fan_out",
    "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save", "megatron_core",
    "init_lora_weights", "eva_config", "qalora_group_size", "ensure_weight_tying", "runtime_config",
)  # fmt: skip
"""Settings that say which modules have products, or how large they are; whatever else is set is not known to be one."""
STARTS = (True, False, None, "gaussian", "eva", "orthogonal")
"""Ways to begin that leave the weights of the base alone; PiSSA, OLoRA, CorDA and LoftQ begin with others."""
HEADS = ("score", "classifier")
"""Modules of a classifier that an adapter may bring along: heads are trained anew here, so they are left out."""
OUTPUTS = ("lm_head", "embed_out", "cls")
"""What turns states into words. It is read from the base's files, where it is read at all."""
TEXT_PART = ".language_model."
"""In names of weights of a model that sees or hears as well, those that read its texts, which alone are loaded."""
DOWN, UP = ".lora_A.weight", ".lora_B.weight"
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
MERGE = "Merge it into its base with peft's merge_and_unload, save that with save_pretrained, and give that folder."


def is_adapter(path: Path) -> bool:
    """Whether a folder holds an adapter and no model."""
    return (path / CONFIG).is_file() and not (path / "config.json").is_file()


def explain_nested(field: str = "base=FOLDER") -> str:
    """What is wrong with an adapter as the base of another; `field`: what names the base."""
    merge = "Merge it into its base with peft's merge_and_unload, save that with save_pretrained"
    return f"is an adapter itself. {merge}, and set {field} to that."


def source_of(path: str, base: str | None) -> AdapterSource:
    """An adapter's folder with its base: `base`, a folder or a name on the hub, else what its configuration names.

    Raises SourceError where neither is there, and for a folder with another adapter.
    """
    config = read_json(Path(path).expanduser() / CONFIG)
    path = str(Path(path).expanduser().absolute())  # jobs run in another folder
    named, revision = base or config.get(BASE), None if base else config.get("revision")
    if not isinstance(named, str) or not named:
        raise SourceError(f"{path}: its {CONFIG} names no base. Set that of this model, as in strong.base=FOLDER.")
    folder = Path(named).expanduser()
    if is_adapter(folder):
        raise SourceError(f"{path}: the base of this adapter, {named}, {explain_nested()}")
    if folder.exists():
        return AdapterSource(path=path, base=LocalSource(path=str(folder.absolute())))
    if REPOSITORY.fullmatch(named):
        return AdapterSource(path=path, base=HubSource(repository=named, revision=revision or "main"))
    raise SourceError(
        f"{path}: the base of this adapter is {named}, which is not here, and no name on the hub (owner/name). Set "
        "that of this model, as in strong.base=FOLDER."
    )


def identify(source: AdapterSource, base: Mapping[str, Any]) -> dict[str, Any]:
    """The digest of the adapter and the identity of its base. Raises SourceError for what cannot be added."""
    folder = local.existing(LocalSource(path=source.path))
    if why := problem_of(folder):
        raise SourceError(f"model {folder} {why}")
    if isinstance(source.base, LocalSource) and Path(source.base.path).suffix.lower() == ".gguf":
        raise SourceError(f"model {folder} is an adapter on a .gguf file. Give the safetensors of that base.")
    return {"kind": "adapter", "sha256": _digest(folder), "base": dict(base)}


def _digest(folder: Path) -> str:
    """Of what an adapter adds."""
    config = {name: value for name, value in read_json(folder / CONFIG).items() if name not in UNHASHED}
    total = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    total.update(local.file_digest(folder / WEIGHTS).encode())
    return total.hexdigest()


def fetch(source: AdapterSource, identity: Mapping[str, Any], base: Path) -> Path:
    """The folder of base and adapter. Raises SourceError where the adapter belongs on another model."""
    if identify(source, identity["base"])["sha256"] != identity["sha256"]:
        raise SourceError(f"source.path: {source.path} changed since the sweep was planned. Submit the sweep again.")
    folder = _place(identity, base)
    if not folder.exists():
        adapter = local.existing(LocalSource(path=source.path))
        if why := misfit(adapter, base):
            raise SourceError(f"model {adapter} {why}")
        with publishing(folder) as work:
            _compose(adapter, base, work)
    if _digest(folder / INSIDE) != identity["sha256"]:  # the base's files are checked where they lie
        raise SourceError(f"model {folder / INSIDE} was damaged. Delete {folder} and submit the sweep again.")
    return folder


def find(identity: Mapping[str, Any], base: Path | None) -> Path | None:
    """The folder, if it was made; else that of the base."""
    return base if base is None or not _place(identity, base).exists() else _place(identity, base)


def _place(identity: Mapping[str, Any], base: Path) -> Path:
    text = json.dumps([identity, str(base.absolute())], sort_keys=True)
    return cache_root() / "adapters" / hashlib.sha256(text.encode()).hexdigest()[:20]


def _compose(adapter: Path, base: Path, work: Path) -> None:
    for path in base.iterdir():
        if path.is_file() and not path.name.startswith("."):
            (work / path.name).symlink_to(path.absolute())
    (work / INSIDE).mkdir()
    for name in (CONFIG, WEIGHTS):
        shutil.copyfile(adapter / name, work / INSIDE / name)


def problem_of(folder: Path) -> str | None:
    """Why an adapter cannot be added to weights; None where it can."""
    if not (folder / WEIGHTS).is_file():
        pickled = " (adapter_model.bin is a pickle, which is never loaded)" if any(folder.glob("*.bin")) else ""
        return f"is an adapter without {WEIGHTS}{pickled}. Save it once more with peft's save_pretrained."
    config = read_json(folder / CONFIG)
    if (kind := config.get("peft_type")) != "LORA":
        return f"is an adapter of the kind {kind}, and LORA can be added to weights here. {MERGE}"
    for name, value in config.items():
        if (name not in UNDERSTOOD and value and (name, value) != ("bias", "none")) or (
            name == "init_lora_weights" and value not in STARTS
        ):
            return f"is an adapter with {name}={value}, which is more than products added to the base. {MERGE}"
    if not all(isinstance(config.get(name), int | float) and config[name] > 0 for name in ("r", "lora_alpha")):
        return f"is an adapter whose {CONFIG} says no r or lora_alpha. Save it once more with peft's save_pretrained."
    if why := damage_of(folder / WEIGHTS):
        return f"has a file {WEIGHTS} that {why}. Copy it again."
    return _problem_of_tensors(read_header(folder / WEIGHTS))


def _problem_of_tensors(header: Mapping[str, Any]) -> str | None:
    names = [name for name in header if not is_spare(module_of(name))]
    for name in names:
        module = module_of(name)
        if not name.endswith((DOWN, UP)) or any(part in OUTPUTS for part in module.split(".")):
            return f"is an adapter that also changes {module}: more than products in blocks. {MERGE}"
        if name.removesuffix(DOWN).removesuffix(UP) + (UP if name.endswith(DOWN) else DOWN) not in header:
            return f"has a file {WEIGHTS} in which half of a product is missing, for {module}. Copy it again."
    return (
        None if names else f"is an adapter whose {WEIGHTS} holds no product. Give the folder of one that was trained."
    )


def is_spare(module: str) -> bool:
    """Whether nothing here computes with a module: a classifier's head, which is trained anew, and a pooler."""
    parts = module.split(".")
    return parts[0] in HEADS or "pooler" in parts


def misfit(adapter: Path, base: Path) -> str | None:
    """Why an adapter belongs on another model than `base`; None where all its products fit."""
    if is_adapter(base):
        return f"is on {base}, which {explain_nested()}"
    matrices = shapes(base)
    sees = any(TEXT_PART in f".{name}" for name in matrices)
    for module, (inputs, outputs) in sides_of(adapter):
        if is_spare(module):
            continue
        names = [name for name in matrices if same_module(name, module)]
        found = [matrices[name] for name in names]
        if not found:
            return f"is an adapter for {module}, which {base} does not have. Set base=FOLDER to what it was trained on."
        if sees and not any(TEXT_PART in f".{name}" for name in names):
            return f"is an adapter for {module}, which in {base} is no part of its language model. {MERGE}"
        if found[0] not in ((outputs, inputs), (inputs, outputs)):  # the second way round in GPT-2's Conv1D
            return (
                f"is an adapter for a {module} of {outputs} x {inputs}, which in {base} is "
                f"{' x '.join(map(str, found[0]))}. Set base=FOLDER to what it was trained on."
            )
    return None


def sides_of(adapter: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """(module, its inputs and outputs) of every product of an adapter."""
    header = read_header(adapter / WEIGHTS)
    for name, one in header.items():
        if name.endswith(DOWN):
            up = header[name.removesuffix(DOWN) + UP]
            yield module_of(name), (one["shape"][1], up["shape"][0])


def module_of(name: str) -> str:
    """The module that a tensor of an adapter belongs to, as the model that peft wrapped calls it."""
    return re.sub(
        r"\.(lora_A|lora_B|lora_embedding_A|lora_embedding_B)?\.?(weight|bias)?$",
        "",
        name.removeprefix("base_model.model."),
    )


def same_module(one: str, other: str) -> bool:
    """Whether two names are of one module: with a head around a model, all names have one part more in front."""
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def scale_of(config: Mapping[str, Any], module: str) -> float:
    """What the product of a module is multiplied by: alpha / r, or alpha / sqrt(r) of rsLoRA (arXiv 2312.03732)."""
    rank = _pattern(config, "rank_pattern", module) or config["r"]
    alpha = _pattern(config, "alpha_pattern", module) or config["lora_alpha"]
    return float(alpha) / (float(rank) ** 0.5 if config.get("use_rslora") else float(rank))


def _pattern(config: Mapping[str, Any], name: str, module: str) -> Any:
    """The value of the first pattern that a module's name ends with, as peft looks them up."""
    patterns: Mapping[str, Any] = config.get(name) or {}
    return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", module)), None)
