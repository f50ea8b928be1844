"""A command of the user's own at the end: what it is told, and that its failure costs nothing."""

import pytest

from tests.launch.test_devices import ready, rows
from w2s_sweep.launch.local import LocalEngine
from w2s_sweep.launch.notify import notify
from w2s_sweep.store import Store
from w2s_sweep.store.files import write_json

TELL = 'echo "$W2S_SWEEP $W2S_STATE $W2S_DONE $W2S_LEFT" > told'


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = Store(tmp_path / "store")
    found.prepare()
    with found.attempt("a") as out:
        write_json(out / "summary.json", {})
    return found


@pytest.mark.parametrize(
    ("keys", "state", "told"),
    [(["a"], None, "s done 1 0"), (["a", "b"], None, "s failed 1 1"), (["a"], "interrupted", "s interrupted 1 0")],
)
def test_it_is_told_how_the_sweep_ended(store, tmp_path, keys, state, told):
    notify(TELL, store, "s", keys, state)
    assert (tmp_path / "told").read_text().strip() == told


def test_a_command_that_fails_or_hangs_is_told_and_nothing_else(store, capsys, monkeypatch):
    monkeypatch.setattr("w2s_sweep.launch.notify.SECONDS", 0.1)
    notify("exit 3", store, "s", ["a"])
    notify("exec sleep 1000", store, "s", ["a"])
    notify(None, store, "s", ["a"])
    err = capsys.readouterr().err
    assert "'exit 3' failed (3)" in err
    assert "failed (no end in 0.1 s)" in err


@pytest.mark.slow
def test_a_local_sweep_tells_at_its_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = ready(tmp_path / "store", [rows(tmp_path, "x")])
    assert LocalEngine(notify=TELL).run(job)
    assert (tmp_path / "told").read_text().strip() == "sweep done 1 0"
