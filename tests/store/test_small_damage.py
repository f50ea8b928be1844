"""Small damage stops no more than what it concerns, and says so; garbage is looked at twice."""

import errno
import os

import pytest

from tests.results_store import NAME, Shape, build
from tests.store.test_store import KEY, publish
from w2s_sweep.cli import main as w2s
from w2s_sweep.errors import StoreError
from w2s_sweep.store import Store, acquire, garbage, read_claim
from w2s_sweep.store.files import write_json
from w2s_sweep.store.garbage import collect_garbage


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    store.prepare()
    return store


@pytest.mark.parametrize("place", [KEY, f".{KEY}.takeover"])
@pytest.mark.parametrize("content", ["", "{", "{}"])
def test_an_empty_claim_is_believed_for_a_minute_and_then_taken_over(store, place, content):
    if place != KEY:
        write_json(store.claim_path(KEY), {"host": "elsewhere", "token": "x", "job": None})
        os.utime(store.claim_path(KEY), (0, 0))
    path = store.claim_path(place)
    path.write_text(content)
    assert acquire(store, KEY) is None
    assert read_claim(store, KEY) is not None
    os.utime(path, (0, 0))
    lease = acquire(store, KEY) or acquire(store, KEY)
    assert lease is not None
    lease.release()
    assert list((store.root / "claims").iterdir()) == []


@pytest.mark.parametrize("error", [errno.EPERM, errno.EOPNOTSUPP])
def test_claims_work_where_there_are_no_hard_links(store, monkeypatch, error):
    def refuse(*_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", refuse)
    lease = acquire(store, KEY)
    assert lease is not None
    assert lease.check()
    assert acquire(store, KEY) is None
    lease.release()
    write_json(store.claim_path(KEY), {"host": "elsewhere", "token": "x", "job": None})
    os.utime(store.claim_path(KEY), (0, 0))
    lease = acquire(store, KEY)
    assert lease is not None
    lease.release()
    assert list((store.root / "claims").iterdir()) == []


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"stages": []}'])
def test_a_damaged_record_of_a_sweep_stops_nothing_but_that_sweep(tmp_path, capsys, content):
    store = build(tmp_path / "store", Shape(n_test=20))
    write_json(store.sweep("other") / "sweep.json", {})
    (store.sweep("other") / "sweep.json").write_text(content)
    call = ["--store", str(store.root)]
    assert w2s([*call, "status"]) == 0
    out, err = capsys.readouterr()
    assert f"{NAME}: 3 done" in out
    assert "sweep 'other'" in err
    for command in (["status", "other"], ["report", "other"], ["retry", "other"], ["cancel", "other"]):
        assert w2s([*call, *command]) == 1
        assert "sweep 'other'" in capsys.readouterr().err
    assert w2s([*call, "gc", "--unreferenced", "--days", "-1", "--delete"]) == 1  # what it named is not known
    assert "Run the sweep's command again" in capsys.readouterr().err
    assert w2s([*call, "verify", "--keep"]) == 1  # the made-up keys are no digests
    assert len(store.keys()) == 3


def old(store, *keys):
    for key in keys:
        os.utime(store.path(key), (0, 0))


def test_a_sweep_that_is_recorded_while_garbage_is_measured_loses_nothing(store, monkeypatch):
    keys = [letter * 20 for letter in "abc"]
    for key in keys:
        publish(store, key)
    old(store, *keys)
    measure = garbage.size_of

    def record(paths):
        write_json(store.sweep("late") / "sweep.json", {"stages": {key: {} for key in keys[:2]}})
        return measure(paths)

    monkeypatch.setattr(garbage, "size_of", record)
    removed = collect_garbage(store, days=7, unreferenced=True, delete=True)
    assert [item.path.name for item in removed] == keys[2:]
    assert all(store.is_done(key) for key in keys[:2])


def test_a_sweep_that_is_recorded_while_garbage_is_deleted_loses_nothing(store, monkeypatch):
    publish(store)
    old(store, KEY)
    looked = []
    referenced = Store.referenced_keys

    def later(self):
        looked.append(self)
        return referenced(self) | ({KEY} if len(looked) == 3 else set())  # named after the second look

    monkeypatch.setattr(Store, "referenced_keys", later)
    assert collect_garbage(store, days=7, unreferenced=True, delete=True) == []
    assert store.damage(KEY) == []


def test_what_is_young_or_named_by_a_submitted_job_is_kept(store):
    publish(store)
    assert collect_garbage(store, days=7, unreferenced=True, delete=False) == []
    old(store, KEY)
    store.work("b" * 20).mkdir()
    os.utime(store.work("b" * 20), (0, 0))
    write_json(store.root / "queued" / "t.json", {"tasks": [{"job": "1", "stages": [KEY, "b" * 20]}]})
    assert collect_garbage(store, days=7, unreferenced=True, delete=False) == []
    (store.root / "queued" / "t.json").unlink()
    assert len(collect_garbage(store, days=7, unreferenced=True, delete=True)) == 2


def test_a_record_that_cannot_be_read_at_all_says_why(store):
    store.sweep("s").mkdir()
    (store.sweep("s") / "sweep.json").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        store.read_sweep("s")
