"""The report of a sweep: one HTML file that needs nothing from outside, with tables and figures beside it."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os.path import relpath
from pathlib import Path
from typing import Any

from w2s_sweep.results.figures import SavedFigure, save_figures
from w2s_sweep.results.figures.curves import HEIGHT, MOST, WIDTH, count_trained, learning_curves
from w2s_sweep.results.figures.style import INK, TIP
from w2s_sweep.results.join import origins
from w2s_sweep.results.records import Results
from w2s_sweep.results.tables import lines
from w2s_sweep.results.tables.files import export, file_names
from w2s_sweep.results.tables.further import known_columns
from w2s_sweep.results.tables.terminal import by_group
from w2s_sweep.store import Store
from w2s_sweep.store.files import write_text

TEMPLATE = "report.html.j2"
FILTERS = (
    "number", "interval", "plus_minus", "group_pgr", "cell_pgr", "median_pgr", "p_text", "distinct", "better",
    "left_out", "difference_head",
)  # fmt: skip
"""What the template takes from `lines`."""


@dataclass(frozen=True)
class ReportPaths:
    """What `write_results` wrote."""

    html: Path
    tables: dict[str, Path]
    """File type -> path."""
    figures: Sequence[SavedFigure]

    def list_files(self) -> list[tuple[str, Path]]:
        """What a person may want to open: (what it is, where it is)."""
        figures = [(f"figure {figure.name}", path) for figure in self.figures for path in (figure.png, figure.svg)]
        return [("table", self.tables["csv"]), *figures, ("report", self.html)]


def write_results(store: Store, results: Results, folder: Path) -> ReportPaths:
    """Write the tables, figures and report of collected results into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = export(results, folder)
    figures = save_figures(results, folder / "figures")
    write_text(folder / "report.html", render(store, results, figures, folder))
    return ReportPaths(folder / "report.html", tables, figures)


def render(store: Store, results: Results, figures: Sequence[SavedFigure], folder: Path) -> str:
    """The HTML text, for a page in `folder`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment: Any = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: getattr(lines, name) for name in FILTERS}
    environment.filters |= {"median_texts": partial(lines.median_texts, results)}
    return environment.get_template(TEMPLATE).render(**context(store, results, figures, folder)).lstrip()


def context(store: Store, results: Results, figures: Sequence[SavedFigure], folder: Path) -> dict[str, Any]:
    """What the template reads."""
    stages = results.record["stages"]
    sizes = sorted({row.n_test for row in results.rows if row.n_test is not None})
    compared = (("Over all tasks", results.over_tasks), ("Task by task", results.task_by_task))
    return {
        "results": results,
        "name": results.sweep,
        "origins": [_origin(found) for found in origins(results.record)],
        "counts": {state: results.count(state) for state in ("done", "failed", "missing")},
        "trained": len(
            {key for row in results.rows for key in (row.weak_key, row.student_key, row.ceiling_key) if key}
        ),
        "tasks": len({row.dataset for row in results.rows}),
        "n_test": "-" if not sizes else f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}",
        "seeds": sorted({row.seed for row in results.rows}),
        "files": file_names(),
        "figures": [{"name": f.name, "caption": f.caption, "svg": inline_svg(f)} for f in figures],
        "median_heads": lines.median_heads(results),
        "compared": [(title, lines.method(results, found), found) for title, found in compared if found],
        "further": known_columns(results.groups),
        "measured": [g for g in results.groups if g.details],
        "remarks": lines.remarks(results),
        "failures": [(key, stages[key]["label"], text) for key, text in results.failures.items()],
        "curves": learning_curves(store, stages),
        "uncurved": count if (count := count_trained(stages)) > MOST else 0,
        "most_curves": MOST,
        "curve_box": (WIDTH, HEIGHT),
        "store": Path(relpath(store.root, folder)).as_posix(),
        "without_curve": _without_curve(results),
        "stages": Path(relpath(store.stages, folder)).as_posix(),
        "cells": by_group(results),
        "first_cells": {row.cell for row in {row.group: row for row in reversed(by_group(results))}.values()},
        "notes": any(row.note or row.unidentified for row in results.rows),
    }


def _without_curve(results: Results) -> str:
    """How many settings have no curve over training; empty where all of them do."""
    groups = [g.group for g in results.groups if g.seeds]
    absent = len(groups) - len({point.group for point in results.curves if point.role == "student"})
    return f"{absent} of {len(groups)} settings" if absent else ""


def _origin(found: Mapping[str, Any]) -> dict[str, str]:
    """A sweep's origin as texts."""
    code: Mapping[str, Any] = found["code"] or {}
    commit = f", commit {code['commit']}" if code.get("commit") else ""
    changed = " with local changes" if code.get("changed") else ""
    said = f"w2s_sweep {code['version']}{commit}{changed}" if code else "not recorded"
    return {
        "name": found["name"],
        "created": found["created"] or "",
        "command": shlex.join(found["command"] or ()),
        "code": said,
    }


def inline_svg(figure: SavedFigure) -> str:
    """A figure for the page: transparent, its ink in the page's text colour, ids of its own."""
    text = figure.svg.read_text()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<g id="patch_1">.*?</g>)', "", text, count=1, flags=re.DOTALL)
    text = re.sub(rf'<g id="{TIP}([^"]*)">', r"<g><title>\1</title>", text)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{figure.name}-\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf"\1{figure.name}-", text)
    text = text.replace(INK, "currentColor").replace("#ffffff", "var(--page)")
    text = re.sub(r'<svg ([^>]*?)width="[^"]+" height="[^"]+"|<svg ', lambda m: f"<svg {m[1] or ''}", text, count=1)
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', text)[1])  # type: ignore[index]
    style = f"min-width:{min(width, 640):.0f}px;max-width:{width * 1.5:.0f}px"
    return text.replace("<svg ", f'<svg role="img" aria-label="{figure.caption}" style="{style}" ', 1)
