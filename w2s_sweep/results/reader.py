"""What stages predict for test rows: each stage read once, and shown to a cell on the rows that the cell is about.

A supervisor that is a file may label some test rows alone. Every number of its cells, whatever reads it, is then about
these rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet  # pyright: ignore[reportMissingTypeStubs]

from w2s_sweep.arrays import Array
from w2s_sweep.errors import StoreError
from w2s_sweep.kinds.labels import LabelsFile
from w2s_sweep.metrics import NO_CEILING, NO_TEST_LABELS
from w2s_sweep.predictions import FILE, TEXTS, read_answers
from w2s_sweep.results.examples import Examples, Order
from w2s_sweep.store import Store

EXAMPLES = "examples.parquet"
"""What a data stage leaves."""


@dataclass
class Reader:
    """Test predictions of stages, each read once however many cells use it."""

    store: Store
    stages: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of the sweep's record."""
    read: dict[str, "Examples | str"] = field(default_factory=dict[str, "Examples | str"])
    narrow: dict[tuple[str, str], "Examples | str"] = field(default_factory=dict[tuple[str, str], "Examples | str"])
    """(stage, file that supervises) -> the stage's predictions for the rows that the file labels."""
    groups: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """Key of a data stage -> example id -> name of its group."""
    orders: dict[tuple[str | None, str], Order] = field(default_factory=dict[tuple[str | None, str], Order])
    """(data stage, example ids as they stand in a file) -> their order."""

    def beside(self, key: str, weak: str) -> "Examples | str":
        """A stage's test predictions for a cell that the stage `weak` supervises; or, in words, why there are none."""
        labelled = self.labelled(weak)
        if labelled is None:
            return self.examples(key)
        if (key, weak) not in self.narrow:
            self.narrow[key, weak] = _on(self.examples(key), labelled)
        return self.narrow[key, weak]

    def labelled(self, weak: str) -> Array | None:
        """The test rows that a supervisor labels, where it is a file with labels of test rows; else None."""
        said = self.examples(weak) if self.stages.get(weak, {}).get("kind") == LabelsFile.kind else ""
        return said.ids if isinstance(said, Examples) else None

    def examples(self, key: str) -> "Examples | str":
        """All test predictions of a stage sorted by id; or, in words, why there are none."""
        if key not in self.read:
            self.read[key] = self._load(key) if key else NO_CEILING
        return self.read[key]

    def _load(self, key: str) -> "Examples | str":
        if not self.store.path(key).is_dir():
            return "not finished"
        data = self._data(key)
        if data is not None and not self.store.path(data).is_dir():  # intervals without groups would claim too much
            return f"stage {data[:10]}, which says what test examples are one group, is gone; run the sweep again"
        try:
            folder = self.store.verify(key)  # once a stage: a flipped bit would be another number, without a word
            answers = read_answers(folder / FILE, "test")
            order = self._order(data, answers.ids)
        except StoreError as error:
            return str(error)
        if len(answers.ids):
            return Examples.of(answers, _legal(folder / TEXTS), order)
        if self.stages.get(key, {}).get("kind") == LabelsFile.kind:
            return NO_TEST_LABELS
        return f"no test examples in {folder / FILE}"

    def _data(self, key: str) -> str | None:
        """The data stage that a stage's examples come from."""
        inputs: Mapping[str, str] = self.stages.get(key, {}).get("inputs", {})
        if "data" in inputs:
            return inputs["data"]
        return next((found for other in inputs.values() if (found := self._data(other)) is not None), None)

    def _order(self, data: str | None, ids: Array) -> Order:
        about = (data, "\n".join(ids.tolist()))
        if about not in self.orders:
            self.orders[about] = Order.of(ids, self._groups(data))
        return self.orders[about]

    def _groups(self, data: str | None) -> dict[str, str]:
        """Groups of a data stage's examples; none where no stage is known, as of sweeps that hold none."""
        if data is None:
            return {}
        if data not in self.groups:
            table: Any = cast(Any, pyarrow.parquet).read_table(
                self.store.verify(data) / EXAMPLES, columns=["id", "group"]
            )
            self.groups[data] = dict(zip(table["id"].to_pylist(), table["group"].to_pylist(), strict=True))
        return self.groups[data]


def _on(found: "Examples | str", labelled: Array) -> "Examples | str":
    """On the labelled rows where there are others too; a file with rows of its own is told of by who compares."""
    fewer = isinstance(found, Examples) and {*labelled.tolist()} < {*found.ids.tolist()}
    return found.on(labelled) if fewer else found


def _legal(path: Path) -> dict[str, bool]:
    """Example id -> whether what was generated is a possible answer, where that is known."""
    table: Any = cast(Any, pyarrow.parquet).read_table(path) if path.is_file() else None
    if table is None or "legal" not in table.column_names:
        return {}
    pairs: Iterable[tuple[str, bool | None]] = zip(table["id"].to_pylist(), table["legal"].to_pylist(), strict=True)
    return {name: legal for name, legal in pairs if legal is not None}
