"""A stage folder with a manifest never changes, and nothing else counts as a result."""

import multiprocessing
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from tests.setups import cell, identify
from w2s_sweep.cells.cell import Sweep
from w2s_sweep.cells.merge import merge
from w2s_sweep.errors import StoreError
from w2s_sweep.launch.record import Request, record_sweep
from w2s_sweep.store import Store, acquire, read_claim
from w2s_sweep.store.claim import owner_record
from w2s_sweep.store.files import write_json
from w2s_sweep.store.garbage import collect_garbage

KEY = "0123456789abcdef0123"


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    store.prepare()
    return store


def publish(store, key=KEY, text="result"):
    with store.attempt(key) as out:
        (out / "a.txt").write_text(text)
        (out / "sub").mkdir()
        (out / "sub" / "b.bin").write_bytes(bytes(1000))
        write_json(out / "preimage.json", {"kind": "data"})


def test_published_is_done_and_sound(store):
    assert not store.done(KEY)
    publish(store)
    assert store.done(KEY)
    assert store.damage(KEY) == []
    assert store.keys() == [KEY]
    assert not store.work(KEY).exists()
    assert store.preimage(KEY) == {"kind": "data"}


def test_whoever_may_read_the_store_may_read_its_results(store):
    with store.attempt("k") as folder:
        (folder / "secret").write_text("x")
        (folder / "secret").chmod(0o600)
    assert (store.path("k") / "secret").stat().st_mode & 0o777 == store.path("k").stat().st_mode & 0o666


def test_an_attempt_that_fails_leaves_nothing(store):
    def fail():
        with store.attempt(KEY) as out:
            (out / "a.txt").write_text("half")
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        fail()
    assert not store.path(KEY).exists()
    assert list(store.work(KEY).iterdir()) == []


def test_the_second_of_two_writers_is_discarded(store):
    with store.attempt(KEY) as first:
        (first / "a.txt").write_text("first")
        publish(store, text="second")
    assert (store.path(KEY) / "a.txt").read_text() == "second"
    assert store.damage(KEY) == []


def _race(root, barrier, won):
    store = Store(root)
    with store.attempt(KEY) as out:
        (out / "pid").write_text(str(os.getpid()))
        barrier.wait()
    won.put((store.path(KEY) / "pid").read_text())


@pytest.mark.slow
def test_processes_racing_to_publish_agree_on_one_winner(store):
    context = multiprocessing.get_context("spawn")
    barrier, won = context.Barrier(3), context.Queue()
    racers = [context.Process(target=_race, args=(store.root, barrier, won)) for _ in range(3)]
    for racer in racers:
        racer.start()
    seen = {won.get(timeout=60) for _ in racers}
    for racer in racers:
        racer.join()
        assert racer.exitcode == 0
    assert len(seen) == 1
    assert store.damage(KEY) == []


@pytest.mark.parametrize(
    ("harm", "word"),
    [
        (lambda f: (f / "a.txt").write_text("rEsult"), "changed"),
        (lambda f: (f / "a.txt").write_text("res"), "bytes"),
        (lambda f: (f / "sub" / "b.bin").unlink(), "missing"),
        (lambda f: (f / "manifest.json").write_text('{"files": '), "manifest"),
        (lambda f: (f / "manifest.json").unlink(), "manifest"),
    ],
)
def test_damage_is_found_set_aside_and_made_again(store, harm, word):
    publish(store)
    harm(store.path(KEY))
    assert word in store.damage(KEY)[0]
    with pytest.raises(StoreError, match="w2s verify"):
        store.verify(KEY)
    aside = store.quarantine(KEY)
    assert aside.is_dir()
    assert not store.done(KEY)
    publish(store)
    assert store.damage(KEY) == []


def test_publishing_over_a_truncated_result_replaces_it(store):
    publish(store)
    (store.path(KEY) / "a.txt").write_text("")
    assert not store.done(KEY)
    publish(store)
    assert store.damage(KEY) == []
    assert len(list((store.root / "quarantine").iterdir())) == 1


def test_find_wants_one_key(store):
    publish(store)
    publish(store, "0123ffffffffffffffff")
    assert store.find("01234") == KEY
    with pytest.raises(StoreError, match="2 stages"):
        store.find("0123")
    with pytest.raises(StoreError, match="no stage"):
        store.find("9")


def test_a_key_is_found_without_a_look_at_the_other_stages(store, monkeypatch):
    publish(store)
    for number in range(30):
        (store.stages / f"f{number:019x}").mkdir()
    looks: list[Path] = []
    looked = Path.is_dir
    monkeypatch.setattr(Path, "is_dir", lambda path, **said: looks.append(path) or looked(path, **said))
    assert store.find("01234") == KEY
    assert len(looks) < 5
    monkeypatch.setattr(os, "listdir", lambda folder: pytest.fail("not even names are read for a whole key"))
    assert store.find(KEY) == KEY


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


def test_what_a_killed_run_left_is_cleared(store):
    work = store.work(KEY)
    (work / "attempt-0" / "sub").mkdir(parents=True)
    for name in (".checkpoint.safetensors.0f.part", "checkpoint.safetensors", "log.txt"):
        (work / name).write_text("")
    store.clear_attempts(KEY)
    assert {path.name for path in work.iterdir()} == {"checkpoint.safetensors", "log.txt"}


def test_claims_of_dead_processes_are_garbage(store):
    write_json(store.claim_path(KEY), owner_record() | {"started": "0", "token": "x"})
    live = acquire(store, "a" * 20)
    assert live is not None
    assert [g.path.name for g in collect_garbage(store, days=1, unreferenced=False, delete=True)] == [KEY]
    live.release()
    assert list((store.root / "claims").iterdir()) == []


def test_a_claim_that_was_never_written_to_its_end_is_garbage_after_a_day(store):
    part = store.claim_path(KEY).with_name(f"..{KEY}.token.part")
    part.write_text('{"host": ')
    assert collect_garbage(store, days=7, unreferenced=False, delete=True) == []
    os.utime(part, (0, 0))
    assert [item.path for item in collect_garbage(store, days=7, unreferenced=False, delete=True)] == [part]
    assert not part.exists()


def test_garbage_is_never_a_named_result_or_live_work(store):
    publish(store)
    publish(store, "f" * 20)
    write_json(store.sweep("s") / "sweep.json", {"stages": {KEY: {}}})
    live = acquire(store, "a" * 20)
    assert live is not None
    for name in ("a" * 20, "b" * 20):
        store.work(name).mkdir()
    found = collect_garbage(store, days=-1, unreferenced=True, delete=True)
    live.release()
    assert {g.path.name for g in found} == {"b" * 20, "f" * 20}
    assert store.done(KEY)
    assert store.work("a" * 20).is_dir()


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_one_clear_error_and_no_half_result(small_disk):
    store = Store(small_disk)
    store.prepare()
    publish(store)

    def fill():
        with store.attempt("e" * 20) as out, (out / "large").open("wb") as file:
            file.write(bytes(400_000))

    with pytest.raises(StoreError, match=r"no space left.*run the same command again"):
        fill()
    assert store.keys() == [KEY]
    assert store.damage(KEY) == []
    shutil.rmtree(store.work("e" * 20))


def test_a_command_that_takes_the_name_of_a_sweep_leaves_its_stages_referenced(store, capsys):
    """Otherwise `w2s gc --unreferenced --delete` would remove what the earlier command has paid for."""
    console, resolved = Console(), {}
    commands = [[cell(seed=s) for s in seeds] for seeds in ((0,), (0, 1), (2,))]
    first, both, other = (merge(cells, identify) for cells in commands)
    sweep = Sweep(store=str(store.root), name="mine")
    for cells, graph, said in zip(commands, (first, both, other), ("", "", "name=OTHER"), strict=True):
        request = Request(["launch.py"], overrides=[[] for _ in cells])
        record_sweep(console, store, sweep, request, cells, graph, resolved)
        out = capsys.readouterr().out
        assert said in out
        assert bool(out) == bool(said)
    assert store.read_sweep("mine")["stages"].keys() == other.stages.keys()
    assert store.referenced_keys() == {*both.stages, *other.stages}


@pytest.mark.parametrize("place", ["a-file", "a-file/below"])
def test_a_store_that_cannot_be_a_folder_is_refused_in_a_sentence(tmp_path, place):
    (tmp_path / "a-file").write_text("")
    with pytest.raises(StoreError, match=r"store: .*Choose a writable folder with store=FOLDER"):
        Store(tmp_path / place).prepare()
