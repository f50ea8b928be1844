"""The results as Arrow tables: a row per cell, per group of cells that differ in the seed only, per comparison, per
kind of work."""

from collections.abc import Sequence
from typing import Any

import pyarrow  # pyright: ignore[reportMissingTypeStubs]

from w2s_sweep.results.collected import Results
from w2s_sweep.results.records import Group, Row
from w2s_sweep.results.tables.columns import (
    Column,
    Item,
    cell_columns,
    columns_of,
    comparison_columns,
    curve_columns,
    group_columns,
    usage_columns,
)

pa: Any = pyarrow  # has no type stubs


def cell_table(results: Results) -> Any:
    """A row per cell, in their order in the sweep."""
    return _table(results.rows, cell_columns(_details(results.rows)))


def group_table(results: Results) -> Any:
    """A row per group."""
    return _table(results.groups, group_columns(_details(results.groups)))


def comparison_table(results: Results) -> Any:
    """A row per comparison: those over all tasks and those of single tasks."""
    return _table(results.comparisons, comparison_columns())


def curve_table(results: Results) -> Any:
    """A row per group, role and evaluation on the way through training."""
    return _table(results.curves, curve_columns())


def usage_table(results: Results) -> Any:
    """A row per kind of work, of results that a report is made of."""
    return _table(results.usage, usage_columns())


def _details(items: Sequence[Row] | Sequence[Group]) -> list[str]:
    """The further metrics of which any item knows something."""
    return list(dict.fromkeys(name for item in items for name in item.details))


def _table(items: Sequence[Item], columns: Sequence[Column]) -> Any:
    schema = pa.schema([(name, column.type) for column in columns for name in column.names])
    values = columns_of(items)
    nothing = [None] * len(items)
    return pa.table({name: values.get(name, nothing) for name in schema.names}, schema=schema)
