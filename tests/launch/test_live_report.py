"""The report while a sweep runs: a process of its own writes it, and it shows itself anew until the sweep has ended."""

import pytest

from tests.results_store import NAME, Shape, build
from w2s_sweep.launch.live_report import LiveReport
from w2s_sweep.results.collect import collect
from w2s_sweep.results.report import write_results

EMPTY = Shape(missing=("weak w14 sciq 0",))
"""Nothing is finished, so nothing is drawn."""


@pytest.mark.slow
def test_a_process_writes_the_report_of_what_there_is(tmp_path):
    store = build(tmp_path / "store", EMPTY)
    (store.sweep(NAME) / "jobs").mkdir()
    live = LiveReport(store, NAME, first=0.0)
    live.tick()
    assert live.process is not None
    assert live.process.wait() == 0, (store.sweep(NAME) / "jobs" / "live.log").read_text()
    page = (store.sweep(NAME) / "report.html").read_text()
    assert 'data-live="30"' in page
    assert 'http-equiv="refresh"' in page
    live.tick()
    assert live.process is None, "the next one comes after a while"
    write_results(store, collect(store, NAME), store.sweep(NAME))
    page = (store.sweep(NAME) / "report.html").read_text()
    assert "data-live=" not in page.partition("<script>")[0]
    assert "http-equiv" not in page


def test_a_report_in_the_making_ends_with_the_sweep_and_short_sweeps_have_none(tmp_path):
    store = build(tmp_path / "store", EMPTY)
    (store.sweep(NAME) / "jobs").mkdir()
    live = LiveReport(store, NAME)
    live.tick()
    assert live.process is None
    live.due = 0.0
    live.tick()
    process = live.process
    assert process is not None
    live.stop()
    assert process.poll() is not None
    assert not list(store.sweep(NAME).rglob("*.part"))
