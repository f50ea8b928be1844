"""From finished stages to tables, figures and a report; every number can be traced to predictions in a stage folder."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from w2s_sweep.results.records import Row
    from w2s_sweep.store import Store


def conclude(
    console: "Console", store: "Store", sweep: str, tracker: Mapping[str, Any] | None = None
) -> "tuple[Row, ...]":
    """Collect a sweep, print its table, write its files and report, and mirror it; returns a row per cell.

    `tracker`: plain `tracker` settings (`cells.cell.Tracker`); None mirrors nothing.
    """
    from w2s_sweep.results.collect import collect  # matplotlib and pyarrow are not wanted at submission
    from w2s_sweep.results.report import write_results
    from w2s_sweep.results.tables.terminal import print_results

    results = collect(store, sweep)
    written = write_results(store, results, store.sweep(sweep))
    print_results(results, console)
    for name, path in written.shown():
        console.print(f"{name}: {path}", highlight=False, soft_wrap=True)
    if tracker is not None and tracker["name"] != "none":
        from w2s_sweep.tracking.push import push

        pushed = push(store, results, tracker)
        if pushed is not None:
            done = "written" if pushed.mode == "offline" else "sent"
            console.print(f"W&B {pushed.mode}: {pushed.sent} runs {done} now, {pushed.present} before", highlight=False)
            if pushed.mode == "offline":
                folder = store.sweep(sweep) / "wandb"
                console.print(f"to upload them: wandb sync {folder}/offline-run-*", highlight=False, soft_wrap=True)
    return results.rows


def show(console: "Console", store: "Store", sweeps: Sequence[str], kind: str | None, folder: "Path | None") -> None:
    """Print the results of sweeps, joined: as text of a kind (csv, json, md), else as tables.

    `folder`: where tables, figures and the report are written; None writes nothing.
    """
    from w2s_sweep.results.collect import collect
    from w2s_sweep.results.report import write_results
    from w2s_sweep.results.tables.files import TEXTS
    from w2s_sweep.results.tables.terminal import print_results

    results = collect(store, *sweeps)
    written = [] if folder is None else write_results(store, results, folder).shown()
    if kind is not None:
        print(TEXTS[kind](results), end="")
        return
    print_results(results, console)
    for name, path in written:
        console.print(f"{name}: {path}", highlight=False, soft_wrap=True)


__all__ = ["conclude", "show"]
