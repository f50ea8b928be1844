"""The cells of a sweep, with the test predictions of their roles: a block of them at a time, which are of one task."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from w2s_sweep.data.tasks import TASKS
from w2s_sweep.metrics import METRICS, NO_TEST_LABELS, ROLES, plain_ratio
from w2s_sweep.results.absence import describe_absence
from w2s_sweep.results.cell_names import label_settings, name_settings
from w2s_sweep.results.examples import Examples
from w2s_sweep.results.labels import sorted_json
from w2s_sweep.results.reader import Reader
from w2s_sweep.results.records import Row

BLOCK = 2**16
"""Test examples of the cells of a block together: their numbers, and those of their evaluations, are in memory at a
time. More is not faster."""
USUAL = 10
"""Evaluations of a cell with which its test examples count once; with more they count more often."""


@dataclass(frozen=True, eq=False)
class Cell:
    """What is known of a cell before anything is scored."""

    about: Mapping[str, Any]
    """Fields of its row."""
    sets: Mapping[str, Examples]
    """Test predictions of its roles; none where it is not finished, or failed."""
    evaluations: int = 0
    """On test rows while its stages trained, at most."""

    @property
    def index(self) -> int:
        return self.about["cell"]

    @property
    def size(self) -> int:
        """Test examples."""
        return len(self.sets["student"].ids) if self.sets else 0

    @property
    def weight(self) -> float:
        """Test examples, as `BLOCK` counts them."""
        return self.size * max(1.0, self.evaluations / USUAL)

    def row(self, numbers: Mapping[str, Any] | None) -> Row:
        """`numbers`: what cells and settings have in common; None of a cell without predictions."""
        if numbers is None:
            return Row(**self.about)
        student = self.sets["student"]
        majority = float(np.bincount(student.truth).max() / self.size)
        ratio = plain_ratio(*(numbers[role].value for role in ROLES))
        shape = {"n_test": self.size, "classes": student.probs.shape[1], "ratio": ratio}
        chance = METRICS[self.about["metric"]].chance_of(student)
        return Row(**self.about, **shape, **numbers, chance=chance, majority=majority)


@dataclass(frozen=True)
class CellReader:
    """Finds cells in a store."""

    reader: Reader
    record: Mapping[str, Any]
    failures: Mapping[str, str]
    """Stage key -> error."""
    names: Mapping[str, Mapping[str, str]]
    """What settings are called in tables."""

    @classmethod
    def of(cls, reader: Reader, record: Mapping[str, Any], failures: Mapping[str, str]) -> "CellReader":
        return cls(reader, record, failures, label_settings([entry["cell"] for entry in record["cells"]]))

    def read(self, group: str, index: int) -> Cell:
        """A cell of the record; `group`: the same for cells that differ in the seed only."""
        entry = self.record["cells"][index]
        about, keys = self._about(group, index, entry), entry["roles"]
        found = {role: self.reader.beside(key, keys["weak"]) for role, key in keys.items()}
        absent = {role: text for role, text in found.items() if isinstance(text, str)}
        if absent and set(absent.values()) != {NO_TEST_LABELS}:
            return Cell(about | describe_absence(absent, keys, self.failures, self.record["stages"]), {})
        sets = {role: test for role, test in found.items() if isinstance(test, Examples)}
        mismatch, evaluations = _mismatch(sets), int(entry["cell"].get("test_evaluations", 0))
        return Cell(about | {"state": "failed", "note": mismatch}, {}) if mismatch else Cell(about, sets, evaluations)

    def _about(self, group: str, index: int, entry: Mapping[str, Any]) -> dict[str, Any]:
        cell, keys = entry["cell"], entry["roles"]
        label = {name: self.names[name][sorted_json(value)] for name, value in name_settings(cell).items()}
        return {
            "cell": index,
            "group": group,
            "dataset": label["dataset"],
            "weak_model": label["weak"],
            "strong_model": label["strong"],
            "loss": label["loss"],
            "method": label["method"],
            "finetune": label["finetune"],
            "seed": cell["seed"],
            "metric": cell["metric"],
            "weak_params": 0 if cell["weak"] is None else cell["weak"]["params"],
            "strong_params": cell["strong"]["params"],
            "overrides": tuple(entry["overrides"]),
        } | {f"{role}_key": keys.get(role, "") for role in ROLES}


@dataclass(frozen=True)
class Block:
    """Cells of one task and metric that are scored together."""

    metric: str
    whole: bool
    """Whether all answers to a question are among the rows, if they are answers at all."""
    groups: Mapping[str, Sequence[Cell]]
    """Name of the cells that differ in the seed only -> these cells."""

    @property
    def cells(self) -> list[Cell]:
        return [cell for cells in self.groups.values() for cell in cells]


Groups = Mapping[str, Sequence[int]]
"""Name of the cells that differ in the seed only -> their places in the record."""


def split_tasks(record: Mapping[str, Any], groups: Groups) -> list[Groups]:
    """The groups of each task and metric, which have nothing to do with those of another until tasks are compared."""
    tasks: dict[tuple[str, str], dict[str, Sequence[int]]] = {}
    for name, places in groups.items():
        cell = record["cells"][places[0]]["cell"]
        tasks.setdefault((sorted_json(cell["dataset"]), cell["metric"]), {})[name] = places
    return list(tasks.values())


def blocks(cells: CellReader, groups: Groups) -> Iterator[Block]:
    """All cells of the groups of one task and metric, read when a block is asked for."""
    block: dict[str, Sequence[Cell]] = {}
    cell = next(cells.record["cells"][places[0]]["cell"] for places in groups.values())
    metric, whole = cell["metric"], not leaves_answers_out(cell["dataset"])
    for name, places in groups.items():
        block[name] = [cells.read(name, place) for place in places]
        if sum(cell.weight for found in block.values() for cell in found) >= BLOCK:
            yield Block(metric, whole, block)
            block = {}
    if block:
        yield Block(metric, whole, block)


def leaves_answers_out(dataset: Mapping[str, Any]) -> bool:
    """Whether questions of a recorded dataset lack some of their answers."""
    task = TASKS.get(dataset.get("task", ""))
    return task is not None and task.leaves_answers_out(dataset.get("balance", "classes"))


def _mismatch(sets: Mapping[str, Examples]) -> str:
    """Why the roles cannot be compared; empty when they predict the same examples with the same truth."""
    first, base = next(iter(sets.items()))
    for role, other in sets.items():
        if other.digest == base.digest:
            continue
        mine, theirs = set(base.ids.tolist()), set(other.ids.tolist())
        if mine == theirs:
            return f"the truth of the test examples differs between {first} and {role}"
        return (
            f"the test examples differ: {len(mine - theirs)} only in {first}, {len(theirs - mine)} only in {role}, "
            f"{len(mine & theirs)} in both"
        )
    return ""
