"""Models of one's own: what is known of `strong.path=FOLDER` comes from its files, not from the model whose place it
takes, and what is known of `strong=OWNER/NAME` from the hub's. The same holds for models that a method names.

With `model@strong=NAME` beside it a folder is a copy of that model, and has to look like it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from w2s_sweep.cells.described import (
    EXACT,
    ROLES,
    Descriptions,
    Settings,
    derive_fields,
    is_open,
    is_undescribed,
    name_of,
)
from w2s_sweep.config.read import is_list, is_mapping
from w2s_sweep.errors import ConfigError
from w2s_sweep.methods import METHODS
from w2s_sweep.methods.base import named_fields
from w2s_sweep.sources.adapter import is_adapter


def with_own_models(composed: Sequence[Mapping[str, Any]], overrides: Sequence[Sequence[str]]) -> list[Settings]:
    """Composed cells whose local models are described by their files; `overrides` is what the command said of each.

    Raises ConfigError with all folders that cannot be trained, and all settings that contradict their files.
    """
    models = _models(composed)
    undescribed = {about for about, model in models.items() if is_undescribed(model)}
    found = Descriptions(_names([models[about] for about in undescribed]))
    done: dict[object, Settings] = {}
    cells: list[Settings] = []
    for cell, lines in zip(composed, overrides, strict=True):
        said = {name: value for name, _, value in (line.lstrip("+").partition("=") for line in lines)}
        described: Settings = {}
        for role in ROLES:
            model = cell.get(role)
            if not is_mapping(model) or not _is_used(cell, role):
                continue
            if {f"{role}.path", f"{role}.features"} & {*said} or id(model) in undescribed:
                # One object for all cells that say the same of the same model: what cells share is read once.
                one = (role, id(model), _about(role, said))
                if one not in done:
                    done[one] = _describe(role, model, said, found)
                described[role] = done[one]
        if any(is_open(model) or isinstance(model.get("path"), str) for model in _named(cell)):
            one = ("method", id(cell["method"]))
            if one not in done:
                done[one] = _describe_method(cell["method"], found)
            described["method"] = done[one]
        cells.append({**cell, **described})
    if found.problems:
        raise ConfigError(list(found.problems))
    return cells


def _is_used(cell: Mapping[str, Any], role: str) -> bool:
    """Whether the model has a part in the cell: with a file of labels the weak one has none."""
    supervisor = cell.get("supervisor")
    return role != "weak" or not (is_mapping(supervisor) and supervisor.get("labels"))


def _describe(role: str, model: Mapping[str, Any], said: Mapping[str, str], found: Descriptions) -> Settings:
    path, vectors = model.get("path"), model.get("features")
    by_name, own = is_undescribed(model), _own(role, said)
    if isinstance(path, str) and isinstance(vectors, str):
        both = f"{role}.path and {role}.features: a model is opened, or a file of vectors. Set one of them."
        found.problems[both] = None
    if isinstance(vectors, str):
        return {**model, **_unless_said(role, said, _of_vectors(vectors))}
    if not isinstance(path, str):
        return found.on_hub(f"model@{role}", model) if by_name else dict(model)
    chosen = not by_name and (f"model@{role}" in said or said.get("experiment", "null") != "null")
    if is_adapter(Path(path).expanduser()):  # whatever model it is on, it is another one than that
        model = {**model, **_unless_said(role, said, {"name": name_of(Path(path))})}
    facts = found.read(path, model, f"model@{role}", chosen or {"layers", "hidden", "params"} <= own)
    if facts is None:
        return dict(model)
    if chosen:
        by = f"model@{role}={said.get(f'model@{role}', model['name'])}"
        found.compare(by, model, facts, path, EXACT)
        return dict(model)
    found.compare(role, model, facts, path, [name for name in (*EXACT, "params") if name in own])
    return {**model, **_unless_said(role, said, derive_fields(name_of(Path(path)), facts))}


def _describe_method(method: Mapping[str, Any], found: Descriptions) -> Settings:
    """A method with all models described that it names by a repository or a folder."""
    described = dict(method)
    for name in _model_fields(method):
        value, where = method.get(name), f"method.{name}"
        if is_list(value):
            described[name] = [_describe_named(where, one, found) if is_mapping(one) else one for one in value]
        elif is_mapping(value):
            described[name] = _describe_named(where, value, found)
    return described


def _describe_named(where: str, model: Mapping[str, Any], found: Descriptions) -> Settings:
    """One of these models; a folder beside a file of `conf/model` is a copy of that model."""
    path = model.get("path")
    if not isinstance(path, str):
        return found.on_hub(where, model) if is_undescribed(model) else dict(model)
    facts = found.read(path, model, where, not is_open(model))
    by = where if is_open(model) else f"{where}, `model` beside `path`"
    return found.complete(by, model, facts, path, name_of(Path(path)))


def _named(cell: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The models that the method of a composed cell names."""
    method = cell.get("method")
    if not is_mapping(method):
        return []
    values = [method.get(name) for name in _model_fields(method)]
    listed = [one for value in values for one in (value if is_list(value) else [value])]
    return [one for one in listed if is_mapping(one)]


def _model_fields(method: Mapping[str, Any]) -> list[str]:
    cls = METHODS.get(str(method.get("name")))
    return [] if cls is None else [name for name, field in named_fields(cls).items() if field.group == "model"]


def _models(composed: Sequence[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """All models that cells name, each once, by identity."""
    listed = [model for cell in composed for model in (*map(cell.get, ROLES), *_named(cell)) if is_mapping(model)]
    return {id(model): model for model in listed}


def _names(undescribed: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Repository -> what tables call it: its owner too where another one has the same name in this sweep."""
    short = {one: name_of(Path(one)) for one in {str(model["source"]["repository"]) for model in undescribed}}
    twice = [name for name, count in Counter(short.values()).items() if count > 1]
    return {one: name_of(Path(one.replace("/", "-"))) if name in twice else name for one, name in short.items()}


def _about(role: str, said: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """All that the command says of a role's model."""
    choices = (f"model@{role}", "experiment")
    return tuple(sorted((n, value) for n, value in said.items() if n.startswith(f"{role}.") or n in choices))


def _own(role: str, said: Mapping[str, str]) -> set[str]:
    """The fields of a role's model that the command sets."""
    return {name.partition(".")[2] for name in said if name.startswith(f"{role}.")}


def _unless_said(role: str, said: Mapping[str, str], values: Settings) -> Settings:
    return {name: value for name, value in values.items() if name not in _own(role, said)}


def _of_vectors(path: str) -> Settings:
    """The fields of a model of which there is no more than a file of vectors: nothing of the one it stands in for."""
    return {
        "name": name_of(Path(path).with_suffix("")),
        "params": 1,
        "layers": 1,
        "hidden": 1,
        "keep_layers": None,
        "feature_layer": None,
        "label_words": None,
        "adapt": None,
    }
