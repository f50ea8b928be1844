"""Models that a method lists by the names of files in conf/model, read while Hydra composes a cell.

An entry of the list is the name of a file; or the file and what to change, `{model: gpt2, keep_layers: 6}`; or a whole
model. Hydra's own packages (`model@strong=NAME`) reach single settings only, not the entries of a list.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import MISSING, OmegaConf

from w2s_sweep.errors import ConfigError, unknown

LISTS = ("chain", "others")
"""Settings of methods that list models."""


def with_models(cell: Mapping[str, Any]) -> dict[str, Any]:
    """A composed cell whose method lists whole models; raises ConfigError where a name is no file of conf/model."""
    method = cell.get("method")
    if not isinstance(method, Mapping):
        return dict(cell)
    problems: list[str] = []
    whole = {
        name: _models(f"method.{name}", method[name], problems)
        for name in LISTS
        if method.get(name, MISSING) not in (None, MISSING)
    }
    if problems:
        raise ConfigError(problems)
    return {**cell, "method": {**method, **whole}}


def _models(where: str, entries: Any, problems: list[str]) -> Any:
    if isinstance(entries, str):
        problems.append(f"{where}: got {entries!r}, needs a list of models, as in {where}=[{entries}].")
        return entries
    return [_model(where, entry, problems) for entry in entries]


def _model(where: str, entry: Any, problems: list[str]) -> Any:
    """The model that an entry stands for."""
    changes = dict(entry) if isinstance(entry, Mapping) else {"model": entry}
    if "model" not in changes:
        return changes
    name = changes.pop("model")
    sources = tuple(source.path for source in GlobalHydra.instance().config_loader().get_sources())
    if name not in _options(sources):
        problems.append(unknown(where, str(name), _options(sources)))
        return entry
    return {**_file(name, sources), **changes}


@cache
def _options(sources: tuple[str, ...]) -> list[str]:
    """The files of the group `model`; `sources` are where Hydra looks for them."""
    return GlobalHydra.instance().config_loader().get_group_options("model")


@cache
def _file(name: str, sources: tuple[str, ...]) -> dict[str, Any]:
    """One of these files, composed."""
    container = OmegaConf.to_container(compose(f"model/{name}").model, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}
