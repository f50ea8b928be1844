"""What follows once stages have run: results are collected, printed, written, and mirrored by one process at a time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from w2s_sweep.errors import StoreError
from w2s_sweep.results.collect import collect, names_of_tests
from w2s_sweep.results.collected import Results
from w2s_sweep.results.outcome import outcome_of
from w2s_sweep.results.records import Row
from w2s_sweep.results.report import write_results
from w2s_sweep.results.tables.terminal import print_results
from w2s_sweep.store import Store, hold
from w2s_sweep.store.sharing import refuse_others
from w2s_sweep.tracking import NoTracker, Sent, make_tracker

CLAIM = "push"
"""Name of the claim of whoever mirrors; a dead holder's claim is taken over."""
PATIENCE_SECONDS = 3600.0


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
        mirror(console, store, results, tracker)
    return results.rows


def _conclude_on(console: Console, store: Store, results: Results, folder: Path) -> None:
    written = write_results(store, results, folder)
    print_results(results, console)
    for name, path in written.list_files():
        console.print(f"{name}: {path}", highlight=False, soft_wrap=True)


def push(console: Console, store: Store, sweep: str, tracker: Mapping[str, Any] | None, force: bool) -> bool:
    """Write a sweep's results and mirror them; returns whether all has arrived. Nothing is run.

    `tracker`: plain settings in place of those of the sweep's command.
    """
    refuse_others(store, sweep, "its table and report must not be overwritten.")
    settings = tracker or store.read_sweep(sweep)["settings"]["tracker"]
    if settings["name"] == NoTracker.name:
        raise StoreError(
            f"push: sweep {sweep} was run with tracker=none. Say where it goes: w2s push {sweep} tracker=wandb"
        )
    results = collect(store, sweep)
    write_results(store, results, store.sweep(sweep))
    return mirror(console, store, results, settings, force).complete


def mirror(console: Console, store: Store, results: Results, tracker: Mapping[str, Any], force: bool = False) -> Sent:
    """Hand results to a tracker, and print what became of it."""
    if tracker["name"] == NoTracker.name:
        return Sent()
    # Two that send one run at once would double its curve.
    busy = StoreError(f"push: another one from {store.root} has not ended for {PATIENCE_SECONDS:.0f} s.")
    with hold(store, CLAIM, PATIENCE_SECONDS, busy):
        sent = make_tracker(tracker, results.sweep, store.sweep(results.sweep)).send(outcome_of(store, results), force)
    for line in sent.lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    return sent
