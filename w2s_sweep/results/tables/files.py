"""The results as files for other programs: a row per cell as Parquet, CSV and JSON; groups, comparisons, curves over
training, which figures are drawn of, and what was used as Parquet and CSV; the tables as Markdown and LaTeX."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow  # pyright: ignore[reportMissingTypeStubs]
from pyarrow import parquet  # pyright: ignore[reportMissingTypeStubs]

from w2s_sweep.results.collected import Results
from w2s_sweep.results.tables.arrow import cell_table, comparison_table, curve_table, group_table, usage_table
from w2s_sweep.results.tables.plain import as_json
from w2s_sweep.results.tables.written import as_latex, as_markdown
from w2s_sweep.store.files import write_bytes, write_text

pa: Any = pyarrow  # has no type stubs
pq: Any = parquet


def export(results: Results, folder: Path) -> dict[str, Path]:
    """Write the tables into `folder`; returns file type, or the name of another table than that of cells -> path."""
    paths: dict[str, Path] = {}
    for name, make in {"table": cell_table, **PARQUET}.items():
        of_cells, table = name == "table", make(results)
        written = {"parquet" if of_cells else name: "parquet", "csv" if of_cells else f"{name}.csv": "csv"}
        paths |= {kind: folder / f"{name}.{ending}" for kind, ending in written.items()}
        write_parquet(table, folder / f"{name}.parquet")
        write_text(folder / f"{name}.csv", table_as_csv(table))
    for kind in [kind for kind in TEXTS if kind != "csv"]:
        paths[kind] = folder / f"table.{ENDINGS.get(kind, kind)}"
        write_text(paths[kind], TEXTS[kind](results))
    return paths


def file_names() -> list[str]:
    """What `export` writes, for links."""
    tables = [f"{name}.{ending}" for name in PARQUET for ending in ("csv", "parquet")]
    return [*(f"table.{ENDINGS.get(kind, kind)}" for kind in ("csv", "parquet", *list(TEXTS)[1:])), *tables]


PARQUET: dict[str, Callable[[Results], Any]] = {
    "groups": group_table,
    "comparisons": comparison_table,
    "curves": curve_table,
    "usage": usage_table,
}
"""Tables beside that of the cells."""


def write_parquet(table: Any, path: Path) -> None:
    """Write a table, whole or not at all."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_bytes(path, buffer.getvalue())


def as_csv(results: Results) -> str:
    """A row per cell, a column per number."""
    return table_as_csv(cell_table(results))


def table_as_csv(table: Any) -> str:
    """A table as text; what is a list is one field."""
    return columns_as_csv({name: _values(table[name]) for name in table.column_names})


def _values(column: Any) -> list[Any]:
    """A column as plain objects. Numbers go by way of numpy, which takes a tenth of the time; no table holds NaN."""
    if not pa.types.is_floating(column.type):
        return column.to_pylist()
    numbers = column.to_numpy().tolist()
    return [None if number != number else number for number in numbers] if column.null_count else numbers


def columns_as_csv(columns: Mapping[str, Sequence[Any]]) -> str:
    """Name of a column -> what stands in it, as text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    harmless = [list(map(_no_formula, cells)) if str in {*map(type, cells)} else cells for cells in columns.values()]
    writer.writerows(zip(*harmless, strict=True))
    return out.getvalue()


def _no_formula(cell: Any) -> Any:
    """A text that a spreadsheet would compute is written with an apostrophe before it, which makes it a text."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


TEXTS: dict[str, Callable[[Results], str]] = {
    "csv": as_csv,
    "json": as_json,
    "md": as_markdown,
    "latex": as_latex,
}
"""File type -> the results in it."""
OF_USAGE = frozenset({"md", "latex"})
"""Those that show what the work took."""
ENDINGS = {"latex": "tex"}
"""Of files whose type is called otherwise."""
