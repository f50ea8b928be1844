"""`w2s list` and `w2s rm`: what is there, and that a sweep leaves with what nothing else needs."""

import pytest

from tests.results_store import LOSSES, NAME, Shape, build
from w2s_sweep.amounts import show_bytes
from w2s_sweep.cli import main as w2s
from w2s_sweep.launch.overview import summarize
from w2s_sweep.launch.status import StageStatus
from w2s_sweep.store import acquire
from w2s_sweep.store.files import size_of, write_json

MISSING = "student w14 s410 sciq 1 0"


@pytest.fixture
def store(tmp_path):
    """Two sweeps: two losses, and the first cell of it under another name."""
    store = build(tmp_path / "store", Shape(losses=LOSSES[:2], n_test=20, missing=(MISSING,)))
    record = store.read_sweep(NAME)
    first = record["cells"][:1]
    stages = {key: record["stages"][key] for key in first[0]["roles"].values()}
    write_json(store.sweep("other") / "sweep.json", record | {"name": "other", "cells": first, "stages": stages})
    return store


def run(store, capsys, *words):
    status = w2s(["--store", str(store.root), *words])
    out, err = capsys.readouterr()
    return status, out, err


def only(store):
    """The student that only the first sweep names."""
    record = store.read_sweep(NAME)
    return next(key for key, stage in record["stages"].items() if stage["label"] == MISSING)


def test_the_list_shows_state_cells_and_size(store, capsys):
    status, out, _ = run(store, capsys, "list")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert status == 0
    assert "1/2" in lines[NAME]
    assert "unfinished" in lines[NAME]
    assert "1 of 4 stages missing" in lines[NAME]
    assert "1/1" in lines["other"]
    assert "done" in lines["other"]
    stages = [store.path(key) for key in store.read_sweep("other")["stages"]]
    size = size_of([store.sweep("other"), *stages]) - sum((path / "manifest.json").stat().st_size for path in stages)
    assert show_bytes(size) in lines["other"]
    assert run(store, capsys, "list", "--last", "1")[1].count("\n") == 2


def test_a_record_that_cannot_be_read_hides_no_other_sweep(store, capsys):
    (store.sweep("broken")).mkdir()
    (store.sweep("broken") / "sweep.json").write_text("{")
    status, out, err = run(store, capsys, "list")
    assert status == 0
    assert "'broken'" in err
    assert "other" in out


def test_removing_a_sweep_takes_two_steps_and_spares_what_others_need(store, capsys):
    write_json(store.work(only(store)) / "preimage.json", {"kind": "finetune"})
    before = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    status, out, _ = run(store, capsys, "rm", NAME)
    assert status == 0
    assert "add --yes" in out
    assert "3 stages stay, needed by other" in out
    assert f"{MISSING} (unfinished)" in out
    assert {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()} == before
    work = store.work(only(store))
    freed = size_of([store.sweep(NAME), work])
    status, out, _ = run(store, capsys, "rm", NAME, "--yes")
    assert status == 0
    assert f"removed sweep {NAME}: {show_bytes(freed)} freed" in out
    assert store.sweeps() == ["other"]
    assert not work.exists()
    assert all(store.is_done(key) for key in store.read_sweep("other")["stages"])
    assert run(store, capsys, "rm", "other", "--yes")[0] == 0
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def test_what_another_sweep_names_meanwhile_stays(store, capsys, monkeypatch):
    """Somebody records a sweep with the same stages between the first look and the last."""
    record = store.read_sweep("other")
    (store.sweep("other") / "sweep.json").unlink()
    store.sweep("other").rmdir()
    look = type(store).referenced_keys

    def later(self):
        if not self.sweep("late").exists():
            write_json(self.sweep("late") / "sweep.json", record | {"name": "late"})
        return look(self)

    monkeypatch.setattr(type(store), "referenced_keys", later)
    assert run(store, capsys, "rm", NAME, "--yes")[0] == 0
    assert store.sweeps() == ["late"]
    assert all(store.damage(key) == [] for key in record["stages"])


def test_a_sweep_that_runs_is_not_removed(store, capsys):
    with acquire(store, only(store)):
        status, _, err = run(store, capsys, "rm", NAME, "--yes")
        assert status == 1
        assert f"{MISSING} is running" in err
        assert "w2s cancel" in err
    with acquire(store, f"sweep-{NAME}"):
        assert "a command is running it" in run(store, capsys, "rm", NAME, "--yes")[2]
    assert NAME in store.sweeps()


def test_a_sweep_of_another_user_is_not_removed(store, capsys):
    write_json(store.sweep(NAME) / "sweep.json", store.read_sweep(NAME) | {"user": "somebody else"})
    status, _, err = run(store, capsys, "rm", NAME, "--yes")
    assert status == 1
    assert "is somebody else's" in err
    assert "somebody" in run(store, capsys, "list")[1]


def test_an_unknown_sweep_is_named_with_those_there_are(store, capsys):
    status, _, err = run(store, capsys, "rm", "nosuch")
    assert status == 1
    assert f"{NAME}" in err


def test_the_state_of_a_sweep_is_the_one_to_act_on():
    def of(*states, alive=False):
        return summarize([StageStatus("k", "stage", state, alive=alive) for state in states])

    assert of("done", "done") == ("done", "")
    assert of("done", "running", "failed") == ("running", "1 now, 1 failed")
    assert of("done", "stalled", alive=True) == ("running", "1 now, 1 stalled")
    assert of("queued", "waiting", alive=True) == ("queued", "2 in the queue")
    assert of("done", "failed", "lost", "waiting") == ("failed", "1 failed, 1 lost")
    assert of("done", "waiting") == ("unfinished", "1 of 2 stages missing")
