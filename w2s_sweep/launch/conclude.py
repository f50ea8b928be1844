"""What follows once stages have run: results are collected, printed, written and handed to the tracker."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from w2s_sweep.results.collect import collect, names_of_tests
from w2s_sweep.results.outcome import outcome_of
from w2s_sweep.results.records import Results, Row
from w2s_sweep.results.report import write_results
from w2s_sweep.results.tables.terminal import print_results
from w2s_sweep.store import Store
from w2s_sweep.tracking import make_tracker


def conclude(console: Console, store: Store, sweep: str, tracker: Mapping[str, Any] | None = None) -> tuple[Row, ...]:
    """Collect a sweep, print its table, write its files and report, and mirror it; returns a row per cell.

    So too for each further test set that its cells have, in the folder `tests`; these are not mirrored. `tracker`:
    plain `tracker` settings (`tracking.AnyTracker`); None mirrors nothing.
    """
    results = collect(store, sweep)
    for test in names_of_tests(results.record):
        _conclude_on(console, store, collect(store, sweep, test=test), store.sweep(sweep) / "tests" / test)
    _conclude_on(console, store, results, store.sweep(sweep))
    if tracker is not None:
        for line in make_tracker(tracker, sweep, store.sweep(sweep)).send(outcome_of(store, results)):
            console.print(line, highlight=False, soft_wrap=True)
    return results.rows


def _conclude_on(console: Console, store: Store, results: Results, folder: Path) -> None:
    written = write_results(store, results, folder)
    print_results(results, console)
    for name, path in written.list_files():
        console.print(f"{name}: {path}", highlight=False, soft_wrap=True)
