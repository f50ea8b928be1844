"""The examples of one split before any of them is chosen. The source is read twice, once for what choosing needs and
once for the texts chosen, so that the texts of millions of rows are never in memory together."""

import json
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from w2s_sweep.data.difficulty import Difficulty
from w2s_sweep.data.hashing import Hashes, group_of, stable_hash
from w2s_sweep.data.readers import Row, class_names, count_rows, read_rows
from w2s_sweep.data.tasks import Example, Task
from w2s_sweep.data.tasks.base import QUESTION, Odd, OddRow, is_filled, label
from w2s_sweep.errors import DataError, nearest_first

THINNED = 20
"""Rows read for each example needed: of a larger source only a share is converted, whole groups by their hash."""


NO_CLASS = "whose label is no class"
"""Why a row is left out."""
NO_QUESTION = "that name no question"
"""The same, where a column says which question a row answers."""


@dataclass(frozen=True)
class SourceSplit:
    """Where the rows of a pool come from."""

    task: Task
    path: Path
    name: str
    """Source split, or several joined by `+`."""
    subset: str | None = None
    share: float = 1.0
    """Share of the groups that is read at all."""
    seed: int = 0
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    """Column of the task -> what the source calls it, where that differs."""
    labels: tuple[str, ...] | None = None
    """What the column `label` calls the classes."""
    classes: int = 2
    """How many there are."""
    skip_odd: bool = False
    """Leave out rows that do not fit the task, instead of refusing them."""
    only: Literal["labelled", "unlabelled"] | None = None
    """Rows with a label alone, or rows without one, whose examples have the label -1; None is as the task says."""
    difficulty: Difficulty | None = None
    """Easy rows alone, or hard ones; None is all."""

    def rows(self) -> Iterator[Row]:
        """The rows in order, without the groups that were thinned out."""
        task = self.task
        wanted, optional = ([self.columns.get(c, c) for c in names] for names in (task.columns, task.optional))
        optional += [] if self.difficulty is None else [self.difficulty.column]
        rows = read_rows(self.path, self.name, self.subset, wanted, optional)
        if self.columns:
            rows = (self._rename(row, index) for index, row in enumerate(rows))
        if self.share >= 1 or not task.thin_by:
            return rows
        bound = int(self.share * 2**64)
        return (row for row in rows if stable_hash("thin", self.seed, *map(row.get, task.thin_by)) < bound)

    def _rename(self, row: Row, index: int) -> Row:
        for column, name in self.columns.items():
            if name not in row and (column != "label" or self.only is None):
                found = ", ".join(nearest_first(name, row))
                raise DataError(
                    f"dataset.columns.{column}: row {index} has no column {name!r}. Columns found: {found}."
                )
        return row | {column: row.get(name) for column, name in self.columns.items()}

    def examples(self, left_out: Counter[str] | None = None) -> Iterator[Example]:
        """The examples in order, the same ones at every call. `left_out` counts rows without one, by reason."""
        names = class_names(self.path, self.name, self.subset) if self.labels else {}
        named = names.get(self.columns.get("label", "label"))
        counts, lent = Counter[str]() if left_out is None else left_out, self.only == "unlabelled"
        for index, row in enumerate(self.rows()):
            if self.only is not None and self._is_unlabelled(row) != lent:
                continue
            if self.difficulty is not None and not self._keeps(self.difficulty, row, index, counts):
                continue
            try:
                # A task makes no example of a row without a label, so it is lent one.
                read = row | {"label": 0} if lent else self._relabel(row, named, index)
                found = self.task.examples(read, index, self.classes)
                if self.task.named_question and QUESTION in self.columns:
                    found = [self._of_question(example, row, index) for example in found]
            except OddRow as error:
                if not self.skip_odd:
                    raise
                counts[error.reason] += 1
                continue
            if lent:
                found = [replace(example, label=-1) for example in found]
            else:
                counts["without a label that the task uses"] += not found
            yield from found

    def _keeps(self, difficulty: Difficulty, row: Row, index: int, counts: Counter[str]) -> bool:
        """Whether a row is on the side that is read; of two parts of one split the easy one counts what is odd."""
        try:
            kept = difficulty.keeps(row, index)
        except OddRow as error:
            if not self.skip_odd:
                raise
            counts[error.reason] += not (difficulty.shared and difficulty.side == "hard")
            return False
        counts[difficulty.reason] += not (kept or difficulty.shared)
        return kept

    def _is_unlabelled(self, row: Row) -> bool:
        """Whether a row has no label; a class may be called -1."""
        return is_unlabelled(row) and str(row.get("label")).strip() not in (self.labels or ())

    def _relabel(self, row: Row, named: Sequence[str] | None, index: int) -> Row:
        """The row with the number of its class; `named`: what its file calls the numbers that it has."""
        if self.labels is None or "label" not in row:
            return row
        value = row["label"]
        if value is None or value == "":
            return row
        if named is not None and isinstance(value, int):
            value = named[value] if 0 <= value < len(named) else value
        said = value.strip() if isinstance(value, str) else json.dumps(value, default=str)
        said = said if said in self.labels else _whole(said)
        if said not in self.labels and said != "-1":
            text = (
                f"task {self.task.name!r}: row {index} does not fit: column 'label' is {value!r}, none of the classes "
            )
            raise OddRow(text + f"{', '.join(nearest_first(said, self.labels))} of dataset.labels.", NO_CLASS)
        return row | {"label": self.labels.index(said) if said in self.labels else None}

    def _of_question(self, example: Example, row: Row, index: int) -> Example:
        """With the question that it answers, told by its column: within the row's group, which stays together, or as
        that where rows name none."""
        if not is_filled(row, QUESTION):
            where = f"task {self.task.name!r}: row {index} does not fit: column {self.columns[QUESTION]!r}"
            raise OddRow(f"{where} names no question. Leave such rows out: dataset.odd_rows=skip.", NO_QUESTION)
        said = _whole(str(row[QUESTION]))
        if is_filled(row, "group"):
            return replace(example, question=group_of(example.group, said))
        name = group_of(QUESTION, said)
        return replace(example, question=name, group=name)


def _whole(said: str) -> str:
    """`2.0`, as a table with an absent number has it, is the class 2."""
    return said.removesuffix(".0") if said.removesuffix(".0").removeprefix("-").isdigit() else said


def is_unlabelled(row: Row) -> bool:
    """Whether the column `label` says nothing, or is absent."""
    try:
        return "label" not in row or label(row) is None
    except Odd:
        return False


@dataclass(frozen=True)
class Pool:
    """Arrays of one length, an entry for each example of a split."""

    split: SourceSplit
    origin: str
    labels: NDArray[np.int8]
    groups: Hashes
    links: Hashes
    contents: Hashes
    left_out: Mapping[str, int]
    """Why rows have no example -> how many."""

    def __len__(self) -> int:
        return len(self.labels)

    def chosen(self, positions: NDArray[np.int64]) -> list[Example]:
        """The examples at `positions`, which are sorted, read from the source again."""
        wanted = np.zeros(len(self), dtype=bool)
        wanted[positions] = True
        pairs = zip(self.split.examples(), wanted.tolist(), strict=True)
        return [example for example, take in pairs if take]


def share_to_read(task: Task, path: Path, name: str, subset: str | None, limit: int | None) -> float:
    """Share of the groups that is ample for `limit` examples; 1 unless the source is large and can be thinned."""
    rows = count_rows(path, name, subset) if limit is not None and task.thin_by else None
    return 1.0 if limit is None or not rows else min(1.0, THINNED * limit / rows)


def scan(split: SourceSplit, origin: str) -> Pool:
    """Read what choosing needs. DataError if the split has no labelled row."""
    labels, groups, links, contents = array("b"), array("Q"), array("Q"), array("Q")
    left_out = Counter[str]()
    for example in split.examples(left_out):
        group = stable_hash(example.group)
        labels.append(example.label)
        groups.append(group)
        links.append(group if example.linked is None else stable_hash(example.linked))
        contents.append(_content(example))
    if not labels and split.difficulty is not None and split.only is None:
        raise DataError(
            f"task {split.task.name!r}: no row of split {split.name!r} that has a label is one "
            f"{split.difficulty.wanted}. Change dataset.difficulty_quantile or difficulty_threshold, or name another "
            "column."
        )
    if not labels and split.only is None:
        held_back = "; where those of half B are held back, set dataset.unlabelled=half_b"
        raise DataError(
            f"task {split.task.name!r}: no row of split {split.name!r} has a label that the task uses. "
            f"Choose a split with labels{held_back if origin in ('train', 'half_b') else ''}."
        )
    names, linked, content = (np.array(values, dtype=np.uint64) for values in (groups, links, contents))
    reasons = {reason: count for reason, count in left_out.items() if count}
    return Pool(split, origin, np.array(labels, dtype=np.int8), names, linked, content, reasons)


def _content(example: Example) -> int:
    return stable_hash(example.text, example.text_other, example.target, example.label, example.group)


def ordinals(contents: Hashes) -> Hashes:
    """0 for the first example with its content, 1 for the second, and so on."""
    order = np.argsort(contents, kind="stable")
    values = contents[order]
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    lengths = np.diff(np.append(starts, len(values)))
    numbers = np.empty(len(values), dtype=np.uint64)
    numbers[order] = np.arange(len(values)) - np.repeat(starts, lengths)
    return numbers
