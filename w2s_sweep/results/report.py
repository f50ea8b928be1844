"""The report of a sweep: one HTML file that needs nothing from outside, with tables and figures beside it."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_sweep.results.canvas import INK
from w2s_sweep.results.collect import collect
from w2s_sweep.results.curves import HEIGHT, WIDTH, learning_curves
from w2s_sweep.results.export import export
from w2s_sweep.results.figures import Figure, draw_figures
from w2s_sweep.results.rows import Results
from w2s_sweep.results.table import by_group, cell_pgr, interval, number, remarks
from w2s_sweep.store import Store
from w2s_sweep.store.files import write_text

TEMPLATE = "report.html.j2"


@dataclass(frozen=True)
class ReportPaths:
    """What `write_report` wrote."""

    html: Path
    parquet: Path
    csv: Path
    markdown: Path
    figures: Sequence[Figure]

    def shown(self) -> list[tuple[str, Path]]:
        """What a person may want to open: (what it is, where it is)."""
        figures = [(f"figure {figure.name}", path) for figure in self.figures for path in (figure.png, figure.svg)]
        return [("table", self.csv), *figures, ("report", self.html)]


def write_report(store_root: Path, sweep_name: str) -> ReportPaths:
    """Collect a sweep and write its tables, figures and report into its folder."""
    store = Store(Path(store_root))
    return write_results(store, collect(store, sweep_name))


def write_results(store: Store, results: Results) -> ReportPaths:
    """Write the tables, figures and report of collected results into the sweep's folder."""
    folder = store.sweep(results.sweep)
    parquet, csv, markdown = export(results, folder)
    figures = draw_figures(results, folder / "figures")
    write_text(folder / "report.html", render(store, results, figures))
    return ReportPaths(folder / "report.html", parquet, csv, markdown, figures)


def render(store: Store, results: Results, figures: Sequence[Figure]) -> str:
    """The HTML text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "interval": interval, "cell_pgr": cell_pgr}
    return environment.get_template(TEMPLATE).render(**context(store, results, figures))


def context(store: Store, results: Results, figures: Sequence[Figure]) -> dict[str, Any]:
    """What the template reads."""
    record, stages = results.record, results.record["stages"]
    return {
        "results": results,
        "name": results.sweep,
        "created": record.get("created", ""),
        "command": shlex.join(record["command"]),
        "counts": {state: results.count(state) for state in ("done", "failed", "missing")},
        "trained": len({key for row in results.rows for key in (row.weak_key, row.student_key, row.ceiling_key)}),
        "figures": [{"name": f.name, "caption": f.caption, "svg": inline_svg(f)} for f in figures],
        "several_tasks": len({row.dataset for row in results.rows}) > 1,
        "remarks": remarks(results),
        "failures": [(key, stages[key]["label"], text) for key, text in results.failures.items()],
        "curves": learning_curves(store, stages),
        "curve_box": (WIDTH, HEIGHT),
        "store": str(store.root),
        "cells": by_group(results),
        "notes": any(row.note or row.pgr_undefined for row in results.rows),
    }


def inline_svg(figure: Figure) -> str:
    """A figure for the page: transparent, its ink in the page's text colour, ids of its own."""
    text = figure.svg.read_text()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<g id="patch_1">.*?</g>)', "", text, count=1, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{figure.name}-\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf"\1{figure.name}-", text)
    text = text.replace(INK, "currentColor").replace("#ffffff", "var(--page)")
    text = re.sub(r'<svg ([^>]*?)width="[^"]+" height="[^"]+"|<svg ', lambda m: f"<svg {m[1] or ''}", text, count=1)
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', text)[1])  # type: ignore[index]
    style = f"min-width:{min(width, 640):.0f}px;max-width:{width * 1.5:.0f}px"
    return text.replace("<svg ", f'<svg role="img" aria-label="{figure.caption}" style="{style}" ', 1)
