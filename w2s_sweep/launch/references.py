"""Models and datasets that a method names by files of conf/model and conf/dataset, read while Hydra composes a cell.

What is named is the name of a file; or the file and what to change, `{model: gpt2, keep_layers: 6}`; or a whole model
or dataset. A model may also be a repository of the hub, `OWNER/NAME`, or a folder, `{path: FOLDER}`: what its files say
of it is left open here (see `cells.own_model`). Hydra's own packages (`model@strong=NAME`) reach single settings only,
not the entries of a list.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import MISSING, OmegaConf

from w2s_sweep.cells.described import LEFT_OPEN, name_of
from w2s_sweep.config.read import is_list, is_mapping
from w2s_sweep.errors import ConfigError, unknown
from w2s_sweep.launch.files import choices
from w2s_sweep.launch.hub_choice import can_be_repository, is_path
from w2s_sweep.methods import METHODS
from w2s_sweep.methods.base import NamedField, named_fields
from w2s_sweep.sources.adapter import is_adapter

Group = Literal["model", "dataset"]


def with_named(cell: Mapping[str, Any]) -> dict[str, Any]:
    """A composed cell with whole models and datasets in method and tests; ConfigError where a name is no file."""
    problems: list[str] = []
    cell = dict(cell)
    if cell.get("tests") not in (None, MISSING):
        cell["tests"] = _list("tests", cell["tests"], "dataset", problems)
    method = cell.get("method")
    if not is_mapping(method):
        return _sound(cell, problems)
    cls = METHODS.get(str(method.get("name")))
    whole: dict[str, Any] = {}
    fields = dict[str, NamedField]() if cls is None else named_fields(cls)
    for name, field in fields.items():
        value = method.get(name)
        if value not in (None, MISSING):
            read = _list if field.many else _whole
            whole[name] = read(f"method.{name}", value, field.group, problems)
    return _sound({**cell, "method": {**method, **whole}}, problems)


def _sound(cell: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    if problems:
        raise ConfigError(problems)
    return cell


def _list(where: str, entries: Any, group: Group, problems: list[str]) -> Any:
    if not is_list(entries):
        problems.append(f"{where}: got {entries!r}, needs a list of {group}s, as in {where}=[{entries}].")
        return entries
    return [_whole(where, entry, group, problems, entries) for entry in entries]


def _whole(where: str, entry: Any, group: Group, problems: list[str], entries: Sequence[Any] | None = None) -> Any:
    """The model or dataset that an entry stands for; `entries`: the list that it is in, if it is in one."""
    changes = dict(entry) if is_mapping(entry) else {group: entry}
    sources = tuple(source.path for source in GlobalHydra.instance().config_loader().get_sources())
    if group == "model" and isinstance(path := changes.get("path"), str):
        if group not in changes and "source" not in changes:
            return {**_open({"kind": "local", "path": path}, sources), **changes}
        if is_adapter(Path(path).expanduser()):  # on whatever model it is, it is another one than that
            changes = {"name": name_of(Path(path)), **changes}
    if group not in changes:
        return changes
    name = changes.pop(group)
    options, folders = _options(group, sources)
    if name not in options:
        if group == "model" and is_path(str(name)):
            said = _say(entry) if entries is None else f"[{','.join(map(_say, entries))}]"
            problems.append(f"{where}: {name} is a path of this machine. Say {where}={said}.")
            return entry
        if group != "model" or not can_be_repository(str(name), folders):
            problems.append(unknown(where, str(name), options))
            return entry
    return {**_file(group, str(name), sources), **changes}


def _say(entry: Any) -> str:
    """A model as the command line has it; one that is named by its path as it is to be."""
    changes = dict(entry) if is_mapping(entry) else {"model": entry}
    if is_path(str(changes.get("model", ""))):
        changes = {"path": changes.pop("model"), **changes}
    if [*changes] == ["model"]:
        return str(changes["model"])
    return f"{{{', '.join(f'{name}: {value}' for name, value in changes.items())}}}"


def _open(source: Mapping[str, Any], sources: tuple[str, ...]) -> dict[str, Any]:
    """A model of which no more is said than the folder that it is in."""
    return {**_file("model", "_hub", sources), **dict.fromkeys(LEFT_OPEN, MISSING), "source": source}


@cache
def _options(group: Group, sources: tuple[str, ...]) -> tuple[Sequence[str], Sequence[str]]:
    """The choices of a group and its folders; `sources` are where Hydra looks for them."""
    loader = GlobalHydra.instance().config_loader()
    return choices(loader, group), loader.get_group_options(group, ObjectType.GROUP)


@cache
def _file(group: Group, name: str, sources: tuple[str, ...]) -> dict[str, Any]:
    """One of these files, or a repository of the hub, composed as a choice of the group is."""
    container = OmegaConf.to_container(compose(None, [f"+{group}@{group}={name}"])[group], resolve=True)
    assert is_mapping(container)
    return {str(key): value for key, value in container.items()}
