"""The results as files for other programs: a row per cell as Parquet, CSV and JSON; groups, comparisons and
curves over training, which figures are drawn of, as Parquet and CSV; the tables as Markdown."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pyarrow import parquet  # pyright: ignore[reportMissingTypeStubs]

from w2s_sweep.results.records import Comparison, Group, Median, Results
from w2s_sweep.results.tables import lines
from w2s_sweep.results.tables.arrow import cell_table, comparison_table, curve_table, group_table
from w2s_sweep.results.tables.plain import as_json
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
        paths[kind] = folder / f"table.{kind}"
        write_text(paths[kind], text(results))
    return paths


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
    out, columns = io.StringIO(), table.to_pydict()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_no_formula(cell) for cell in row] for row in zip(*columns.values(), strict=True))
    return out.getvalue()


def _no_formula(cell: Any) -> Any:
    """A text that a spreadsheet would compute is written with an apostrophe before it, which makes it a text."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def as_markdown(results: Results) -> str:
    """Tables for a README or an issue: a row per group, medians over tasks, comparisons."""
    blocks = [f"# {results.sweep}", results.constants, _group_table(results)]
    if len({row.dataset for row in results.rows}) > 1:
        blocks += ["## Median over tasks", _median_table(results)]
    for title, found in (("over all tasks", results.over_tasks), ("task by task", results.task_by_task)):
        if found:
            said = lines.method(results, found)
            blocks += [f"## Compared in pairs, {title}", said, _comparison_table(results, found)]
    return "\n\n".join([*blocks, "\n".join(f"- {line}" for line in lines.remarks(results))]) + "\n"


TEXTS: dict[str, Callable[[Results], str]] = {"csv": as_csv, "json": as_json, "md": as_markdown}
"""File type -> the results in it."""


def _group_table(results: Results) -> str:
    def line(g: Group) -> list[str]:
        scores = [lines.number(e.value) for e in (g.weak, g.student, g.ceiling)]
        return [*results.texts(g), f"{len(g.seeds)}/{g.cells}", *scores, lines.interval(g.gap, 3), lines.group_pgr(g)]

    heads = [*results.columns(), "seeds", "weak", "student", "ceiling", "gap [95 %]", "PGR [95 %]"]
    return _table(heads, map(line, results.groups))


def _median_table(results: Results) -> str:
    def line(m: Median) -> list[str]:
        return [
            *lines.median_texts(results, m),
            str(m.tasks),
            str(m.unidentified),
            lines.left_out(m),
            lines.median_pgr(m),
        ]

    heads = [*lines.median_heads(results), "tasks", "not identified", "why", "median PGR [95 % over tasks]"]
    return _table(heads, map(line, results.medians))


def _comparison_table(results: Results, found: Sequence[Comparison]) -> str:
    def line(c: Comparison) -> list[str]:
        units, p, corrected = (c.test.units, c.test.p, c.test.corrected) if c.test else ("-", None, None)
        texts = [lines.interval(c.difference, 3), lines.better(c), str(units), lines.p_text(p), lines.p_text(corrected)]
        return [*results.texts(c), *texts]

    units = "tasks" if found[0].tasks > 1 else "seeds" if found[0].pairs > 1 else "groups of examples"
    return _table([*results.columns(), lines.difference_head(found), "better", units, "p", "p Holm"], map(line, found))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(_line(cells) for cells in (heads, ["---"] * len(heads), *rows))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
