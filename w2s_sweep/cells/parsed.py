"""Parts of cells that were read already: the cells of a grid share most of them, and reading takes most of planning."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from w2s_sweep.cells.cell import Cell
from w2s_sweep.config.plain import plain
from w2s_sweep.config.read import is_mapping
from w2s_sweep.errors import SourceError
from w2s_sweep.sources.adapter import is_adapter, source_of


class Parsed:
    """Settings and groups that were found right in earlier cells: the cells of a grid share most of them.

    Known by identity. What is known is kept, so nothing else has its id.
    """

    def __init__(self, problems: list[str]) -> None:
        """What is wrong with paths is added to `problems`."""
        self._problems = problems
        self._located: dict[int, tuple[Any, Any]] = {}
        self._parts: dict[tuple[str, int], tuple[Any, Any]] = {}

    def locate(self, value: Any, name: str = "") -> Any:
        """See `_located` and, of the setting `supervisor`, `_supervisor`."""
        if id(value) not in self._located:
            problems: list[str] = []
            found = _supervisor(value) if name == "supervisor" else _locate(value, problems)
            self._problems += [f"{name}: {problem}" if name else problem for problem in problems]
            self._located[id(value)] = value, found
        return self._located[id(value)][1]

    def cell(self, values: Mapping[str, Any]) -> Cell | None:
        """The cell where all its parts are known."""
        found = {name: self._parts.get((name, id(value))) for name, value in values.items()}
        return None if None in found.values() else Cell(**{name: part[1] for name, part in found.items() if part})

    def add(self, values: Mapping[str, Any], cell: Cell) -> Cell:
        """The same cell, made of known parts where there are some: what is shared is one object, and known by it."""
        for name, value in values.items():
            self._parts.setdefault((name, id(value)), (value, getattr(cell, name)))
        return self.cell(values) or cell


def _locate(value: Any, problems: list[str]) -> Any:
    """A model or dataset with `path` set comes from there, also where a method names it; so do vectors. An adapter
    comes with its base."""
    if isinstance(value, list):
        return [_locate(one, problems) for one in cast(list[Any], value)]
    if not isinstance(value, dict):
        return value
    inside = cast(dict[str, Any], value).items()
    part = {name: _source(inner) if name == "source" else _locate(inner, problems) for name, inner in inside}
    if isinstance(path := part.get("path"), str):
        found = {**part, "source": _at(path, part.get("base"), problems), "path": None}
        return {**found, "base": None} if "base" in part else found
    if isinstance(base := part.get("base"), str):
        problems.append(f"base: {base} is the model of an adapter, and path, the folder of that, is not set. Set both.")
    if isinstance(vectors := part.get("features"), str):
        return {**part, "source": _local(vectors)}
    return part


def _supervisor(value: Any) -> Any:
    """With the file of its labels, where it has one, by an absolute path."""
    if not is_mapping(value) or not isinstance(labels := value.get("labels"), str):
        return value
    return {**value, "labels": _absolute(labels)}


def _at(path: str, base: Any, problems: list[str]) -> dict[str, Any]:
    """What is at a path: files, or an adapter on the model `base`, or on the one that it names."""
    if is_adapter(Path(path).expanduser()):
        try:
            return plain(source_of(path, base if isinstance(base, str) else None))
        except SourceError as error:
            problems.append(str(error))
    elif base is not None:
        problems.append(f"base: {base}, but {path} is no adapter (a folder with adapter_config.json). Leave it out.")
    return _local(path)


def _source(value: Any) -> Any:
    """A source as a file of configuration says it."""
    if not is_mapping(value) or value.get("kind") != "local" or not isinstance(path := value.get("path"), str):
        return value
    return {**value, **_local(path)}


def _local(path: str) -> dict[str, Any]:
    return {"kind": "local", "path": _absolute(path)}


def _absolute(path: str) -> str:
    """The tasks of a cluster run in another folder than the command."""
    return str(Path(path).expanduser().absolute())
