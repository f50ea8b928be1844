"""What tells two sweeps, or two cells, apart: settings, stages, and whether their students' scores differ.

Cells are compared in pairs that agree in every setting that both sides share, seed included; so the paired tests are
those of `compare`, and their first is always of the left side.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from w2s_sweep.config.plain import flatten
from w2s_sweep.errors import StoreError
from w2s_sweep.results.collect import collect_students, limit_threads
from w2s_sweep.results.compare import compare_pairs
from w2s_sweep.results.comparison import Comparison
from w2s_sweep.results.join import Record, join
from w2s_sweep.results.labels import sorted_json
from w2s_sweep.results.pairs import Pair, Students
from w2s_sweep.results.records import Row
from w2s_sweep.store import Store

NAMED = ("dataset", "weak", "strong", "supervisor", "loss", "method", "finetune")
"""Groups of settings that are chosen by a name: where that differs, the rest of the group says nothing more."""


@dataclass(frozen=True)
class Side:
    """A sweep, or one cell of it."""

    name: str
    """As it was asked for: SWEEP or SWEEP/CELL."""
    record: Record
    """That of the sweep, with the cells in question."""

    @property
    def stages(self) -> dict[str, Any]:
        """The stages that its cells need, by key."""
        stages: Mapping[str, Any] = self.record["stages"]
        todo = [key for entry in self.record["cells"] for roles in _roles(entry) for key in roles.values()]
        found: dict[str, Any] = {}
        while todo:
            key = todo.pop()
            if key not in found:
                found[key] = stages.get(key, {})
                todo += found[key].get("inputs", {}).values()
        return found


@dataclass(frozen=True)
class Difference:
    """Two sides beside each other."""

    settings: dict[str, tuple[list[Any], list[Any]]]
    """Setting, dotted -> the values that it has on the left, and on the right; none where it does not occur."""
    shared: int
    """Stages that both need."""
    stages: tuple[dict[str, Any], dict[str, Any]]
    """Key -> stage that only the left needs, and only the right."""
    same: int
    """Cells that are one and the same on both sides: all of their roles are the same stages."""
    unpaired: tuple[int, int]
    """Cells of the left, and of the right, that have no counterpart, or several."""
    unscored: dict[str, int]
    """Why pairs of cells could not be compared -> how many."""
    comparisons: tuple[Comparison, ...]
    """Right minus left."""


def read_side(store: Store, name: str) -> Side:
    """`SWEEP`, or `SWEEP/CELL` with the cell's number. Raises StoreError where there is no such sweep or cell."""
    sweep, slash, number = name.partition("/")
    record = store.read_sweep(sweep)
    if not slash:
        return Side(name, record)
    count = len(record["cells"])
    if not number.isdecimal() or int(number) >= count:
        raise StoreError(f"cell: {number!r} of sweep {sweep!r}. Allowed: 0 to {count - 1}, as in {sweep}/0.")
    return Side(name, record | {"name": name, "cells": [record["cells"][int(number)]]})


@limit_threads
def differ(store: Store, left: Side, right: Side) -> Difference:
    """Compare two sides; scores as far as they have run."""
    settings = _settings(left.record["cells"], right.record["cells"])
    mine, theirs = left.stages, right.stages
    pairs, unpaired = _pair(left.record["cells"], right.record["cells"], settings)
    same = [pair for pair in pairs if pair[0]["roles"] == pair[1]["roles"]]
    others = [pair for pair in pairs if pair[0]["roles"] != pair[1]["roles"]]
    comparisons, unscored = _compare(store, left, right, others)
    return Difference(
        settings,
        len(mine.keys() & theirs.keys()),
        (
            {key: stage for key, stage in mine.items() if key not in theirs},
            {key: stage for key, stage in theirs.items() if key not in mine},
        ),
        len(same),
        unpaired,
        unscored,
        comparisons,
    )


def _roles(entry: Record) -> list[dict[str, str]]:
    return [entry["roles"], *entry.get("tests", {}).values()]


def _settings(left: Sequence[Record], right: Sequence[Record]) -> dict[str, tuple[list[Any], list[Any]]]:
    """The settings whose values differ; of a group with another name, the name alone."""
    mine, theirs = _values(left), _values(right)
    found = {
        path: (mine.get(path, []), theirs.get(path, []))
        for path in sorted({*mine, *theirs})
        if {*map(sorted_json, mine.get(path, []))} != {*map(sorted_json, theirs.get(path, []))}
    }
    named = {group for group in NAMED if f"{group}.name" in found}
    return {path: values for path, values in found.items() if _group(path) not in named or path.endswith(".name")}


def _group(path: str) -> str:
    return path.partition(".")[0]


def _values(cells: Iterable[Record]) -> dict[str, list[Any]]:
    """Setting -> its distinct values, in order of appearance."""
    found: dict[str, dict[str, Any]] = {}
    for entry in cells:
        for path, value in flatten(entry["cell"]).items():
            found.setdefault(path, {}).setdefault(sorted_json(value), value)
    return {path: list(values.values()) for path, values in found.items()}


Entries = tuple[Record, Record]


def _pair(
    left: Sequence[Record], right: Sequence[Record], settings: Mapping[str, Any]
) -> tuple[list[Entries], tuple[int, int]]:
    """Cells that are equal, then those that are equal but for what differs, where that says which belong together."""
    differing = {_group(path) if path.endswith(".name") else path for path in settings}
    equal, (left, right) = _match(left, right, frozenset())
    found, (left, right) = _match(left, right, frozenset(differing))
    if len(left) == len(right) == 1:  # two cells that somebody asked for
        found, left, right = [*found, (left[0], right[0])], [], []
    return equal + found, (len(left), len(right))


def _match(
    left: Sequence[Record], right: Sequence[Record], without: frozenset[str]
) -> tuple[list[Entries], tuple[list[Record], list[Record]]]:
    """Cells with a name that only one cell of each side has; and the cells that are left over."""
    mine, theirs = (_by_name(cells, without) for cells in (left, right))
    both = dict.fromkeys(name for name, cells in mine.items() if len(cells) == len(theirs.get(name, ())) == 1)
    found = [(mine[name][0], theirs[name][0]) for name in both]
    rest = tuple(
        [entry for name, cells in side.items() if name not in both for entry in cells] for side in (mine, theirs)
    )
    return found, (rest[0], rest[1])


def _by_name(cells: Sequence[Record], without: frozenset[str]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for entry in cells:
        about = {p: v for p, v in flatten(entry["cell"]).items() if p not in without and _group(p) not in without}
        found.setdefault(sorted_json(about), []).append(entry)
    return found


def _compare(
    store: Store, left: Side, right: Side, pairs: Sequence[Entries]
) -> tuple[tuple[Comparison, ...], dict[str, int]]:
    """The paired tests of pairs of cells, and why others have none."""
    if not pairs:
        return (), {}
    sides = [side.record | {"cells": [pair[i] for pair in pairs]} for i, side in enumerate((left, right))]
    record = join(sides)
    results, students = collect_students(store, record)
    rows = {_name(entry): row for entry, row in zip(record["cells"], results.rows, strict=True)}
    tasks: dict[tuple[str, ...], list[Pair]] = {}
    unscored: dict[str, int] = {}
    for first, second in ((rows[_name(one)], rows[_name(other)]) for one, other in pairs):
        why = _explain_unscored(first, second, students)
        if why:
            unscored[why] = unscored.get(why, 0) + 1
        else:
            tasks.setdefault((*_about(first), *_about(second)), []).append((first, second))
    return compare_pairs(list(tasks.values()), students), unscored


def _name(entry: Record) -> str:
    return sorted_json([entry["cell"], entry["roles"]])


def _about(row: Row) -> tuple[str, ...]:
    return row.dataset, row.pair, row.metric, row.loss, row.method, row.finetune


def _explain_unscored(first: Row, second: Row, students: Students) -> str:
    """Why two cells have no scores to compare; empty where they have."""
    if "failed" in (first.state, second.state):
        return "a cell has failed"
    if "missing" in (first.state, second.state):
        return "a cell is not finished"
    if first.metric != second.metric:
        return "the metrics differ"
    return "" if students.comparable(first, second) else "they are scored on different test examples"
