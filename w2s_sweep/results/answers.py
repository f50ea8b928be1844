"""The part of predictions that scores are made of, from many files.

Files of one task have the same ids, splits and truth. What stands in the same bytes is decoded once: it takes longer
than the probabilities, and is most of what a file would take in memory. Values are not looked at again, so the caller
has compared the files with their digests.
"""
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeStubs=false

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2s_sweep.arrays import Array
from w2s_sweep.errors import StoreError
from w2s_sweep.predictions import REMEDY, Evaluated, Span, check_schema, column, matrix, spans

SCORED = ("id", "truth", "probs")
Same = tuple[object, ...]
"""Equal for files in which some columns stand in the same bytes."""


@dataclass(frozen=True, eq=False)
class Layout:
    """The test rows of a file."""

    rows: Array
    """[n] Where in the file they stand."""
    ids: Array
    """[n] text; unique."""
    truth: Array
    """[n] int8 in 0..classes-1."""


@dataclass
class AnswersReader:
    """Reads files; remembers the layouts that it saw."""

    layouts: dict[Same, Layout] = field(default_factory=dict[Same, Layout])
    curves: dict[Same, Sequence[Span]] = field(default_factory=dict[Same, Sequence[Span]])
    """The rows of each evaluation."""
    schemas: list[pa.Schema] = field(default_factory=list[pa.Schema])
    """Those that were checked."""

    def answers(self, path: Path, content: bytes) -> tuple[Layout, Array]:
        """Test rows, and the probabilities of all rows [rows, classes]. StoreError naming the path where it is damaged.

        Files of equal rows have the same layout, not an equal one.
        """
        try:
            with pq.ParquetFile(pa.BufferReader(content)) as file:
                self._check(path, file.schema_arrow)
                same = _same(file, content, ("id", "split", "truth"))
                if same not in self.layouts:
                    self.layouts[same] = _layout(content)
                return self.layouts[same], _probs(file)
        except (OSError, KeyError, pa.ArrowException) as error:
            raise StoreError(f"predictions {path} cannot be read: {error}. {REMEDY}") from error

    def curve(self, path: Path, content: bytes) -> list[Evaluated]:
        """The evaluations of a stage by rising step; those of equal rows, in whatever file, share the array of ids.

        StoreError naming the path where it is damaged.
        """
        try:
            with pq.ParquetFile(pa.BufferReader(content)) as file:
                same = _same(file, content, ("step", "steps", "id"))
                if same not in self.curves:
                    self.curves[same] = spans(_decode(content, ("step", "steps", "id"), ("id",)))
                probs = _probs(file)
        except (OSError, KeyError, pa.ArrowException) as error:
            raise StoreError(f"curve {path} cannot be read: {error}. {REMEDY}") from error
        return [Evaluated(one.step, one.steps, one.ids, probs[one.rows]) for one in self.curves[same]]

    def _check(self, path: Path, found: pa.Schema) -> None:
        if not any(found.equals(known) for known in self.schemas):
            check_schema(path, found, SCORED)
            self.schemas.append(found)


def _same(file: pq.ParquetFile, content: bytes, names: Sequence[str]) -> Same:
    """The bytes of some columns, and what they are to be decoded by."""
    metadata: Any = file.metadata
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    columns = [group.column(i) for group in groups for i in range(group.num_columns)]
    return tuple(_encoded(one, content) for one in columns if one.path_in_schema in names)


def _encoded(column: Any, content: bytes) -> tuple[object, ...]:
    start = column.dictionary_page_offset or column.data_page_offset
    how = column.path_in_schema, column.physical_type, column.compression, column.num_values
    return *how, content[start : start + column.total_compressed_size]


def _layout(content: bytes) -> Layout:
    table = _decode(content, ("id", "split", "truth"), ("split",))
    splits = column(table, "split")
    names = splits.dictionary.to_pylist()
    rows = np.flatnonzero(splits.indices.to_numpy() == (names.index("test") if "test" in names else -1))
    ids = column(table, "id").take(pa.array(rows)).to_numpy(zero_copy_only=False)
    return Layout(rows, ids, column(table, "truth").to_numpy()[rows])


def _decode(content: bytes, names: Sequence[str], dictionaries: Sequence[str]) -> pa.Table:
    with pq.ParquetFile(pa.BufferReader(content), read_dictionary=list(dictionaries)) as file:
        return file.read(columns=list(names), use_threads=False).combine_chunks()


def _probs(file: pq.ParquetFile) -> Array:
    return matrix(column(file.read(columns=["probs"], use_threads=False), "probs"))


def legal_of(content: bytes | None) -> Mapping[str, bool]:
    """Example id -> whether what was generated is a possible answer, where that is known, of a file of texts."""
    table: Any = None if content is None else pq.read_table(pa.BufferReader(content))
    if table is None or "legal" not in table.column_names:
        return {}
    pairs = zip(table["id"].to_pylist(), table["legal"].to_pylist(), strict=True)
    return {name: legal for name, legal in pairs if legal is not None}
