"""A claim is of one process that lives: held by its heartbeat, taken over from the dead, lost with a word."""

import multiprocessing
import os

import pytest

from tests.store.published import KEY
from w2s_sweep.store import Store, acquire, read_claim
from w2s_sweep.store.claim import owner_record
from w2s_sweep.store.files import write_json


def test_a_claim_is_exclusive_until_released(store):
    lease = acquire(store, KEY)
    assert lease is not None
    assert acquire(store, KEY) is None
    lease.release()
    again = acquire(store, KEY)
    assert again is not None
    again.release()
    assert read_claim(store, KEY) is None


def _claim_and_die(root):
    assert acquire(Store(root), KEY) is not None
    os._exit(0)


@pytest.mark.slow
def test_a_dead_owners_claim_is_taken_over(store):
    context = multiprocessing.get_context("spawn")
    owner = context.Process(target=_claim_and_die, args=(store.root,))
    owner.start()
    owner.join()
    claim = read_claim(store, KEY)
    assert claim is not None
    assert not claim.alive
    lease = acquire(store, KEY)
    assert lease is not None
    lease.release()


def test_another_hosts_claim_lives_by_its_heartbeat(store):
    write_json(store.claim_path(KEY), owner_record() | {"host": "elsewhere", "token": "x"})
    assert acquire(store, KEY) is None
    old = store.claim_path(KEY).stat().st_mtime - 3600
    os.utime(store.claim_path(KEY), (old, old))
    lease = acquire(store, KEY)
    assert lease is not None
    lease.release()


def test_a_requeued_job_takes_over_from_its_earlier_run(store, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    write_json(store.claim_path(KEY), owner_record() | {"host": "elsewhere", "token": "x"})
    assert acquire(store, KEY) is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert acquire(store, KEY) is None  # it beats: an orphan that SLURM lost sight of
    silent = store.claim_path(KEY).stat().st_mtime - 20
    os.utime(store.claim_path(KEY), (silent, silent))
    monkeypatch.setenv("SLURM_RESTART_COUNT", "0")
    assert acquire(store, KEY) is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    lease = acquire(store, KEY)
    assert lease is not None
    lease.release()


def test_a_process_that_is_seen_alive_keeps_its_claim_however_silent(store, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    lease = acquire(store, KEY)
    assert lease is not None
    os.utime(store.claim_path(KEY), (0, 0))
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert acquire(store, KEY) is None
    lease.release()


def test_a_taker_that_died_inside_stops_nobody(store):
    for path in (store.claim_path(KEY), store.claim_path(f".{KEY}.takeover")):
        write_json(path, owner_record() | {"started": "0", "token": "x"})
    assert acquire(store, KEY) is None  # the first try clears the way
    lease = acquire(store, KEY)
    assert lease is not None
    lease.release()
    assert list((store.root / "claims").iterdir()) == []


def test_an_owner_clears_what_killed_claimants_left_beside_its_claim(store):
    claims = store.claim_path(KEY).parent
    write_json(claims / f".{KEY}.killed", owner_record() | {"started": "0", "token": "x"})
    write_json(claims / f".{KEY}.asking", owner_record() | {"token": "y"})
    write_json(claims / f".{'a' * 20}.killed", owner_record() | {"started": "0", "token": "z"})
    lease = acquire(store, KEY)
    assert lease is not None
    lease.release()
    assert {path.name for path in claims.iterdir()} == {f".{KEY}.asking", f".{'a' * 20}.killed"}


def test_an_owner_learns_that_it_lost_its_claim(store, monkeypatch):
    monkeypatch.setattr("w2s_sweep.store.claim.BEAT_SECONDS", 0.01)
    lease = acquire(store, KEY)
    assert lease is not None
    write_json(store.claim_path(KEY), owner_record() | {"token": "another"})
    assert lease.lost.wait(10)
    lease.release()
    assert read_claim(store, KEY) is not None


def test_a_missing_claim_is_lost_and_an_unreadable_one_is_not(store):
    lease = acquire(store, KEY)
    assert lease is not None
    content = store.claim_path(KEY).read_text()
    store.claim_path(KEY).write_text("{")
    assert lease.check()
    store.claim_path(KEY).write_text(content)
    lease.release()
    assert read_claim(store, KEY) is None
    again = acquire(store, KEY)
    assert again is not None
    store.claim_path(KEY).unlink()
    assert not again.check()
    again.release()
