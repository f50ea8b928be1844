"""A table as text, column by column. CSV and JSON have the same text of a number: making it takes longer than all else
that is done with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow  # pyright: ignore[reportMissingTypeStubs]

pa: Any = pyarrow  # has no type stubs


@dataclass(frozen=True, eq=False)
class Texts:
    """The columns of a table."""

    names: Sequence[str]
    """Of all of them, in their order."""
    numbers: Mapping[str, Sequence[str]]
    """Those of floats, as Python writes them, so that none is rounded; empty where there is none."""
    others: Mapping[str, Sequence[Any]]
    """The rest as plain objects."""

    @classmethod
    def of(cls, table: Any) -> "Texts":
        """Of an Arrow table."""
        floating = [name for name in table.column_names if pa.types.is_floating(table.schema.field(name).type)]
        others = {name: table[name].to_pylist() for name in table.column_names if name not in floating}
        return cls(table.column_names, {name: _number_texts(table[name]) for name in floating}, others)


def _number_texts(column: Any) -> list[str]:
    """By way of numpy, which takes a tenth of the time and has NaN for null; no table holds NaN."""
    return ["" if number != number else repr(number) for number in column.to_numpy().tolist()]
