"""A pack runs what is not finished, and leaves nothing but results."""

import threading

from tests.setups import data_stage
from w2s_sweep.runner.context import RunSettings
from w2s_sweep.runner.pack import Pack, run_pack
from w2s_sweep.store import Store, acquire
from w2s_sweep.store.claim import owner_record
from w2s_sweep.store.files import write_json

STAGE = data_stage()


def finished(tmp_path):
    """A store with the stage, and what a run leaves that was killed right after its publication."""
    store = Store(tmp_path / "store")
    store.prepare()
    with store.attempt(STAGE.key) as out:
        (out / "examples.parquet").write_text("rows")
    (store.work(STAGE.key) / "attempt-dead").mkdir(parents=True)
    (store.work(STAGE.key) / "log.txt").write_text("published")
    return store, Pack(store, [STAGE], RunSettings())


def test_what_a_run_killed_after_its_publication_left_is_removed(tmp_path):
    store, pack = finished(tmp_path)
    write_json(store.claim_path(STAGE.key), owner_record() | {"started": "0", "token": "dead"})
    assert run_pack(pack, stop=lambda: False) == {STAGE.key: "done"}
    assert not store.work(STAGE.key).exists()
    assert not store.claim_path(STAGE.key).exists()
    assert store.damage(STAGE.key) == []


def test_nothing_is_removed_under_somebody_who_is_at_it(tmp_path):
    store, pack = finished(tmp_path)
    lease = acquire(store, STAGE.key)
    assert lease is not None
    with lease:
        assert run_pack(pack, stop=lambda: False, save=threading.Event()) == {STAGE.key: "done"}
        assert store.work(STAGE.key).exists()
