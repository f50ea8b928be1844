"""Parts of cells that were read already: the cells of a grid share most of them, and reading takes most of planning."""

from collections.abc import Mapping
from typing import Any, cast

from w2s_sweep.cells.cell import Cell


class Parsed:
    """Settings and groups that were found right in earlier cells: the cells of a grid share most of them.

    Known by identity. What is known is kept, so nothing else has its id.
    """

    def __init__(self) -> None:
        self._located: dict[int, tuple[Any, Any]] = {}
        self._parts: dict[tuple[str, int], tuple[Any, Any]] = {}

    def located(self, value: Any) -> Any:
        """See `_located`."""
        if id(value) not in self._located:
            self._located[id(value)] = value, _located(value)
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


def _located(value: Any) -> Any:
    """A model or dataset with `path` set comes from there, also where a method names it; so do vectors."""
    if isinstance(value, list):
        return [_located(one) for one in cast(list[Any], value)]
    if not isinstance(value, dict):
        return value
    inside = cast(dict[str, Any], value).items()
    part = {name: inner if name == "source" else _located(inner) for name, inner in inside}
    if isinstance(path := part.get("path"), str):
        return {**part, "source": {"kind": "local", "path": path}, "path": None}
    if isinstance(vectors := part.get("features"), str):
        return {**part, "source": {"kind": "local", "path": vectors}}
    return part
