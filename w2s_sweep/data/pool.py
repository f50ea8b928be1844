"""The examples of one split before any of them is chosen. The source is read twice, once for what choosing needs and
once for the texts chosen, so that the texts of millions of rows are never in memory together."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2s_sweep.data.hashing import Hashes, stable_hash
from w2s_sweep.data.readers import Row, count_rows, read_rows
from w2s_sweep.data.tasks import Example, Task
from w2s_sweep.errors import DataError

THINNED = 20
"""Rows read for each example needed: of a larger source only a share is converted, whole groups by their hash."""


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

    def rows(self) -> Iterator[Row]:
        """The rows in order, without the groups that were thinned out."""
        task = self.task
        rows = read_rows(self.path, self.name, self.subset, task.columns, task.optional)
        if self.share >= 1 or not task.thin_by:
            return rows
        bound = int(self.share * 2**64)
        return (row for row in rows if stable_hash("thin", self.seed, *map(row.get, task.thin_by)) < bound)

    def examples(self) -> Iterator[Example]:
        """The examples in order, the same ones at every call."""
        return chain.from_iterable(self.task.examples(row, index) for index, row in enumerate(self.rows()))


@dataclass(frozen=True)
class Pool:
    """Arrays of one length, an entry for each example of a split."""

    split: SourceSplit
    origin: str
    labels: NDArray[np.int8]
    groups: Hashes
    links: Hashes
    contents: Hashes

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
    for example in split.examples():
        group = stable_hash(example.group)
        labels.append(example.label)
        groups.append(group)
        links.append(group if example.linked is None else stable_hash(example.linked))
        contents.append(_content(example))
    if not labels:
        raise DataError(
            f"task {split.task.name!r}: no row of split {split.name!r} has a label that the task uses. "
            "Choose a split with labels."
        )
    hashes = [np.array(values, dtype=np.uint64) for values in (groups, links, contents)]
    return Pool(split, origin, np.array(labels, dtype=np.int8), *hashes)


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
