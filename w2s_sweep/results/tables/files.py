"""The results as files for other programs: a row per cell as Parquet, CSV and JSON; groups, comparisons and
curves over training, which figures are drawn of, as Parquet and CSV; the tables as Markdown and LaTeX."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyarrow import parquet  # pyright: ignore[reportMissingTypeStubs]

from w2s_sweep.results.collected import Results
from w2s_sweep.results.tables.arrow import cell_table, comparison_table, curve_table, group_table
from w2s_sweep.results.tables.plain import as_json
from w2s_sweep.results.tables.written import as_latex, as_markdown
from w2s_sweep.store.files import write_bytes, write_text

pq: Any = parquet  # has no type stubs


def export(results: Results, folder: Path) -> dict[str, Path]:
    """Write the tables into `folder`; returns file type, or the name of another table than that of cells -> path."""
    paths = {"parquet": folder / "table.parquet"} | {name: folder / f"{name}.parquet" for name in PARQUET}
    write_parquet(cell_table(results), paths["parquet"])
    for name, table in PARQUET.items():
        write_parquet(table(results), paths[name])
        paths[f"{name}.csv"] = folder / f"{name}.csv"
        write_text(paths[f"{name}.csv"], table_as_csv(table(results)))
    for kind, text in TEXTS.items():
        paths[kind] = folder / f"table.{ENDINGS.get(kind, kind)}"
        write_text(paths[kind], text(results))
    return paths


def file_names() -> list[str]:
    """What `export` writes, for links."""
    tables = [f"{name}.{ending}" for name in PARQUET for ending in ("csv", "parquet")]
    return [*(f"table.{ENDINGS.get(kind, kind)}" for kind in ("csv", "parquet", *list(TEXTS)[1:])), *tables]


PARQUET: dict[str, Callable[[Results], Any]] = {
    "groups": group_table,
    "comparisons": comparison_table,
    "curves": curve_table,
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
    return columns_as_csv(table.to_pydict())


def columns_as_csv(columns: Mapping[str, Sequence[Any]]) -> str:
    """Name of a column -> what stands in it, as text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_no_formula(cell) for cell in row] for row in zip(*columns.values(), strict=True))
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
ENDINGS = {"latex": "tex"}
"""Of files whose type is called otherwise."""
