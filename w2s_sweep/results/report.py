"""The report of a sweep: one HTML file that needs nothing from outside, with tables and figures beside it."""

import re
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os.path import relpath
from pathlib import Path
from typing import Any

from w2s_sweep.amounts import show_hours
from w2s_sweep.results.collected import Results, with_usage
from w2s_sweep.results.cost import Cost, Summaries, cost_of, summaries_of
from w2s_sweep.results.figures import Plot, SavedFigure, choose_plots, save_beside
from w2s_sweep.results.figures.curves import HEIGHT, MOST, WIDTH, count_trained, learning_curves
from w2s_sweep.results.figures.saved import FILES
from w2s_sweep.results.figures.style import INK, ON_DARK
from w2s_sweep.results.join import origins
from w2s_sweep.results.memory import no_garbage_collection, set_objects_aside
from w2s_sweep.results.relocate import relocate
from w2s_sweep.results.tables import lines
from w2s_sweep.results.tables.files import export, file_names
from w2s_sweep.results.tables.further import known_columns
from w2s_sweep.results.tables.terminal import by_group
from w2s_sweep.store import Store
from w2s_sweep.store.files import write_text
from w2s_sweep.version import __version__

PAGE_ROWS = 100
"""Rows of a table that are drawn at a time, and when the page opens; the others wait as text: a browser that must lay
out ten thousand rows of every table stands still for seconds."""
SHORT = 32
"""Letters of a name that stays on one line."""
PLACE = "<!--figure {}-->"
"""Where a figure goes. No text of a user's is so: `<` is escaped in them."""
TEMPLATE = "report.html.j2"
FILTERS = (
    "number", "interval", "plus_minus", "group_pgr", "cell_pgr", "median_pgr", "p_text", "distinct", "better",
    "note_left_out", "difference_head",
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
        figures = [(f"figure {figure.name}", figure.png) for figure in self.figures]
        return [("table", self.tables["csv"]), *figures, ("report", self.html)]


@dataclass(frozen=True)
class Page:
    """Where a report is read, and when."""

    folder: Path
    stages: str | None
    """Where the folders of stages are, from this page's folder; None where they are not, and nothing leads to them."""
    live: bool = False
    """Whether the sweep is running: the page then shows itself anew every half minute."""


def page_in(store: Store, folder: Path, *, live: bool = False) -> Page:
    """A page that leads to the stages of the store."""
    return Page(folder, Path(relpath(store.stages, folder)).as_posix(), live)


def write_results(store: Store, results: Results, folder: Path, *, live: bool = False) -> ReportPaths:
    """Write the tables, figures and report of collected results into `folder`. `live`: while the sweep runs."""
    return write_page(store, results, page_in(store, folder, live=live))


def write_page(store: Store, results: Results, page: Page) -> ReportPaths:
    """The same for a page that is read elsewhere."""
    page.folder.mkdir(parents=True, exist_ok=True)
    with set_objects_aside():
        summaries = summaries_of(store, results.record["stages"])
        results = with_usage(store, relocate(store, results), summaries)
        plots = choose_plots(results)
        beside = [partial(export, results, page.folder), partial(render, store, results, plots, page, summaries)]
        figures, (tables, text) = save_beside(plots, results, page.folder / "figures", beside)
        write_text(page.folder / "report.html", put_figures(text, figures))
    return ReportPaths(page.folder / "report.html", tables, figures)


def put_figures(text: str, figures: Sequence[SavedFigure]) -> str:
    """The HTML text with the figures in their places."""
    drawn = {PLACE.format(figure.name): inline_svg(figure) for figure in figures}
    return re.sub("|".join(drawn), lambda found: drawn[found[0]], text) if drawn else text


@no_garbage_collection
def render(
    store: Store, results: Results, plots: Sequence[Plot], page: Page, summaries: Summaries | None = None
) -> str:
    """The HTML text, but for the figures: it says where they go, and is written while they are drawn. `summaries`: of
    all stages; None reads them."""
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
    cost = cost_of(summaries_of(store, results.record["stages"]) if summaries is None else summaries)
    environment.filters |= {"hours": show_hours, "name_class": name_class}
    return environment.get_template(TEMPLATE).render(**context(store, results, plots, page, cost)).lstrip()


def name_class(text: str) -> str:
    """Of the cell of a table that a name stands in: short ones are never broken."""
    return "name short" if len(text) <= SHORT else "name"


def context(store: Store, results: Results, plots: Sequence[Plot], page: Page, cost: Cost) -> dict[str, Any]:
    """What the template reads."""
    stages, usage = results.record["stages"], lines.usage(results.usage)
    sizes = sorted({row.n_test for row in results.rows if row.n_test is not None})
    compared = (("Over all tasks", results.over_tasks), ("Task by task", results.task_by_task))
    return {
        "results": results,
        "on_dark": ON_DARK,
        "page_rows": PAGE_ROWS,
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
        "figures": [_figure(plot) for plot in plots],
        "median_heads": lines.median_heads(results),
        "compared": [(title, lines.method(results, found), found) for title, found in compared if found],
        "further": known_columns(results.groups),
        "measured": [g for g in results.groups if g.details],
        "remarks": lines.remarks(results, most=12),
        "failures": _failures(results),
        "cost": cost,
        "usage_heads": list(usage),
        "usage_rows": list(zip(*usage.values(), strict=True)),
        "usage_about": lines.USAGE_ABOUT,
        "live": page.live,
        "version": __version__,
        "written": time.strftime("%Y-%m-%d %H:%M:%S"),
        "curves": learning_curves(store, stages),
        "uncurved": count if (count := count_trained(stages)) > MOST else 0,
        "most_curves": MOST,
        "curve_box": (WIDTH, HEIGHT),
        "without_curve": _without_curve(results),
        "stages": page.stages,
        "cells": by_group(results),
        "first_cells": {row.cell for row in {row.group: row for row in reversed(by_group(results))}.values()},
        "unidentified": any(g.unidentified for g in results.groups),
        "notes": any(row.note or row.unidentified for row in results.rows),
    }


def _without_curve(results: Results) -> str:
    """How much has no curve over training; empty where everything has."""
    groups = [g.group for g in results.groups if g.seeds]
    absent = len(groups) - len({point.group for point in results.curves if point.role == "student"})
    return results.count_groups(absent, len(groups)) if absent else ""


def _figure(plot: Plot) -> dict[str, Any]:
    files = [(ending.upper(), f"figures/{plot.name}.{ending}") for ending in FILES]
    return {"name": plot.name, "caption": plot.caption, "svg": PLACE.format(plot.name), "files": files}


def _failures(results: Results) -> list[dict[str, Any]]:
    """Every stage that failed: its key, label and error, and the cells that have no number because of it."""
    stages, causes, cells = results.record["stages"], dict[str, set[str]](), dict[str, list[int]]()
    for row in results.rows:
        if row.state == "failed":
            keys = (row.weak_key, row.student_key, row.ceiling_key)
            for cause in set[str]().union(*(_causes(key, stages, results.failures, causes) for key in keys)):
                cells.setdefault(cause, []).append(row.cell)
    return [
        {"key": key, "label": stages[key]["label"], "text": text, "cells": cells.get(key, [])}
        for key, text in results.failures.items()
    ]


def _causes(key: str, stages: Mapping[str, Any], failed: Mapping[str, str], known: dict[str, set[str]]) -> set[str]:
    """The failed stages among a stage and all that it needs; `known` keeps what was found."""
    if key not in known:
        inputs: Mapping[str, str] = stages.get(key, {}).get("inputs", {})
        found = set[str]().union(*(_causes(other, stages, failed, known) for other in inputs.values()))
        known[key] = found | ({key} if key in failed else set())
    return known[key]


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
    text = re.sub(r'\bid="([^"]+)"', rf'id="{figure.name}-\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf"\1{figure.name}-", text)
    # A variable: what a colour means is the same on a dark page, where the darkest ones would not be seen.
    text = re.sub("|".join(ON_DARK), lambda m: f"var(--on-{m[0][1:].lower()})", text, flags=re.IGNORECASE)
    text = text.replace(INK, "currentColor").replace("#ffffff", "var(--page)")
    text = re.sub(r'<svg ([^>]*?)width="[^"]+" height="[^"]+"|<svg ', lambda m: f"<svg {m[1] or ''}", text, count=1)
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', text)[1])  # type: ignore[index]
    style = f"min-width:{min(width, 640):.0f}px;max-width:{width * 1.5:.0f}px"
    return text.replace("<svg ", f'<svg role="img" aria-label="{figure.caption}" style="{style}" ', 1)
