"""From finished stages to tables, figures and a report; every number can be traced to predictions in a stage folder."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from w2s_sweep.results.figures.look import Look
    from w2s_sweep.store import Store


def show(
    console: "Console",
    store: "Store",
    sweeps: Sequence[str],
    kind: str | None,
    folder: "Path | None",
    test: str | None = None,
    *,
    live: bool = False,
) -> None:
    """Print the results of sweeps, joined: as text of a kind (csv, json, md), else as tables.

    `folder`: where tables, figures and the report are written; None writes nothing. `test`: a further test set.
    `live`: the sweep is running, and the report says so.
    """
    from w2s_sweep.results.collect import collect  # matplotlib and pyarrow are not wanted at submission
    from w2s_sweep.results.collected import with_usage
    from w2s_sweep.results.report import write_results
    from w2s_sweep.results.tables.files import OF_USAGE, TEXTS
    from w2s_sweep.results.tables.terminal import print_results

    results = collect(store, *sweeps, test=test)
    written = [] if folder is None else write_results(store, results, folder, live=live).list_files()
    if kind is not None:
        print(TEXTS[kind](with_usage(store, results) if kind in OF_USAGE else results), end="")
        return
    print_results(results, console)
    for name, path in written:
        console.print(f"{name}: {path}", highlight=False, soft_wrap=True)


def draw(
    console: "Console", store: "Store", sweeps: "Sequence[str]", look: "Look", folder: "Path", test: str | None = None
) -> None:
    """Write the figures of sweeps, joined, for a paper or a talk into `folder`, and nothing else."""
    from w2s_sweep.results.collect import collect
    from w2s_sweep.results.figures import save_figures

    for figure in save_figures(collect(store, *sweeps, test=test), folder, look):
        console.print(f"figure {figure.name}: {figure.pdf}", highlight=False, soft_wrap=True)


__all__ = ["draw", "show"]
