"""Easy to hard: a column of the source says how difficult a row is; easy rows are trained on, hard ones tested on."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from w2s_sweep.data.readers import Row
from w2s_sweep.data.tasks.base import OddRow
from w2s_sweep.errors import DataError, nearest_first

Side = Literal["easy", "hard"]


@dataclass(frozen=True)
class Difficulty:
    """Which rows of a split are read: those on one side of a value of a column."""

    column: str
    """As the source calls it."""
    threshold: float
    """Rows at or below it are easy, the others hard."""
    side: Side
    shared: bool = False
    """Whether rows of the other side are those of another part, which reads the same split."""

    def keeps(self, row: Row, index: int) -> bool:
        """Whether row number `index` is on this side. See `difficulty_of` for errors."""
        return (difficulty_of(row, index, self.column) <= self.threshold) == (self.side == "easy")

    @property
    def wanted(self) -> str:
        """Which rows are read, in words."""
        return self._rows(self.side)

    @property
    def reason(self) -> str:
        """Why rows of the other side are left out."""
        return self._rows("hard" if self.side == "easy" else "easy")

    def _rows(self, side: Side) -> str:
        return f"with {self.column} {'at or below' if side == 'easy' else 'above'} {self.threshold:g}"


def difficulty_of(row: Row, index: int, column: str) -> float:
    """How difficult a row is. DataError where the column is absent, OddRow where it holds no finite number."""
    if column not in row:
        found = ", ".join(nearest_first(column, row))
        raise DataError(f"dataset.difficulty: row {index} has no column {column!r}. Columns found: {found}.")
    value = row[column]
    number = _number(value)
    if number is None:
        kind = "null" if value is None else f"{value!r} ({type(value).__name__})"
        raise OddRow(
            f"dataset.difficulty: row {index} has {column} = {kind}, and a finite number is needed. Name a column of "
            "numbers, or leave such rows out with dataset.odd_rows=skip.",
            f"whose {column} is no number",
        )
    return number


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def threshold_of(rows: Iterable[Row], column: str, quantile: float, *, skip_odd: bool = False) -> float:
    """The value at or below which a share `quantile` of the rows is, one that a row has: the lower of two.

    `skip_odd`: rows without a number do not count, instead of being refused. DataError where no row has one.
    """
    found = []
    for index, row in enumerate(rows):
        try:
            found.append(difficulty_of(row, index, column))
        except OddRow:
            if not skip_odd:
                raise
    if not found:
        raise DataError(f"dataset.difficulty={column}: no row of dataset.train_split has a number there.")
    return float(np.quantile(found, quantile, method="lower"))
