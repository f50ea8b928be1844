"""The results as files for other programs: table.parquet and table.csv (a row per cell), table.md (a row per group)."""

import csv
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from w2s_sweep.results.rows import Results
from w2s_sweep.results.table import group_pgr, number, remarks
from w2s_sweep.store.files import write_bytes, write_text


def export(results: Results, folder: Path) -> tuple[Path, Path, Path]:
    """Write the three tables into `folder`; returns their paths (parquet, csv, markdown)."""
    columns = _columns(results)
    paths = folder / "table.parquet", folder / "table.csv", folder / "table.md"
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: _typed(values) for name, values in columns.items()}), buffer)
    write_bytes(paths[0], buffer.getvalue())
    write_text(paths[1], _csv(columns))
    write_text(paths[2], markdown(results))
    return paths


def _columns(results: Results) -> dict[str, list[Any]]:
    flat = [row.flat() for row in results.rows]
    names = dict.fromkeys(name for row in flat for name in row)
    return {name: [row.get(name) for row in flat] for name in names}


def _typed(values: list[Any]) -> pa.Array:
    """A column without any value is a column of missing numbers, not of Arrow's type `null`."""
    return pa.nulls(len(values), pa.float64()) if all(value is None for value in values) else pa.array(values)


def _csv(columns: dict[str, list[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue()


def markdown(results: Results) -> str:
    """A table per group for a README or an issue."""
    heads = [*results.columns(), "seeds", "weak", "student", "ceiling", "PGR [95 %]"]
    lines = [f"# {results.sweep}", "", results.constants, "", _line(heads), _line(["---"] * len(heads))]
    for g in results.groups:
        scores = [number(e.value) for e in (g.weak, g.student, g.ceiling)]
        lines.append(_line([*results.texts(g), f"{len(g.seeds)}/{g.cells}", *scores, group_pgr(g)]))
    return "\n".join([*lines, "", *(f"- {line}" for line in remarks(results))]) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
