"""The results as files for other programs: a row per cell as Parquet, CSV and JSON; groups, comparisons, curves over
training, which figures are drawn of, and what was used as Parquet and CSV; the tables as Markdown and LaTeX."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyarrow import parquet  # pyright: ignore[reportMissingTypeStubs]

from w2s_sweep.results.collected import Results
from w2s_sweep.results.memory import no_garbage_collection
from w2s_sweep.results.tables.arrow import cell_table, comparison_table, curve_table, group_table, usage_table
from w2s_sweep.results.tables.plain import as_json
from w2s_sweep.results.tables.texts import Texts
from w2s_sweep.results.tables.written import as_latex, as_markdown
from w2s_sweep.store.files import write_bytes, write_text

pq: Any = parquet  # has no type stubs


@no_garbage_collection
def export(results: Results, folder: Path) -> dict[str, Path]:
    """Write the tables into `folder`; returns file type, or the name of another table than that of cells -> path."""
    texts = _write_table(cell_table(results), folder, "table")
    paths = {ending: folder / f"table.{ending}" for ending in ("parquet", "csv")}
    for name, make in PARQUET.items():
        _write_table(make(results), folder, name)
        paths |= {name: folder / f"{name}.parquet", f"{name}.csv": folder / f"{name}.csv"}
    for kind in [kind for kind in TEXTS if kind != "csv"]:
        paths[kind] = folder / f"table.{ENDINGS.get(kind, kind)}"
        write_text(paths[kind], as_json(results, texts) if kind == "json" else TEXTS[kind](results))
    return paths


def _write_table(table: Any, folder: Path, name: str) -> Texts:
    """As Parquet and CSV; returns what stands in the latter."""
    write_parquet(table, folder / f"{name}.parquet")
    texts = Texts.of(table)
    write_text(folder / f"{name}.csv", texts_as_csv(texts))
    return texts


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
    return texts_as_csv(Texts.of(cell_table(results)))


def texts_as_csv(texts: Texts) -> str:
    """A table as text; what is a list is one field."""
    columns = {name: _harmless(cells) for name, cells in texts.others.items()} | dict(texts.numbers)
    return _join({name: columns[name] for name in texts.names})


def columns_as_csv(columns: Mapping[str, Sequence[Any]]) -> str:
    """Name of a column -> what stands in it, as text."""
    return _join({name: _harmless(cells) for name, cells in columns.items()})


def _join(columns: Mapping[str, Sequence[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue()


def _harmless(cells: Sequence[Any]) -> Sequence[Any]:
    return list(map(_no_formula, cells)) if str in {*map(type, cells)} else cells


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
