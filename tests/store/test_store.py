"""A stage is published once, whole and sound, whoever races, dies or runs out of disk."""

import multiprocessing
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.store.published import KEY, publish
from w2s_sweep.errors import StoreError
from w2s_sweep.store import Store


def test_published_is_done_and_sound(store):
    assert not store.is_done(KEY)
    publish(store)
    assert store.is_done(KEY)
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
    assert not store.is_done(KEY)
    publish(store)
    assert store.damage(KEY) == []


def test_publishing_over_a_truncated_result_replaces_it(store):
    publish(store)
    (store.path(KEY) / "a.txt").write_text("")
    assert not store.is_done(KEY)
    publish(store)
    assert store.damage(KEY) == []
    assert len(list((store.root / "quarantine").iterdir())) == 1


def test_find_wants_one_key(store):
    publish(store)
    publish(store, "0123ffffffffffffffff")
    assert store.find("01234") == KEY
    with pytest.raises(StoreError, match="2 stages"):
        store.find("0123")
    for word in ("9", "9" * 300):  # longer than a file's name can be
        with pytest.raises(StoreError, match="no stage"):
            store.find(word)


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


@pytest.mark.parametrize("place", ["a-file", "a-file/below"])
def test_a_store_that_cannot_be_a_folder_is_refused_in_a_sentence(tmp_path, place):
    (tmp_path / "a-file").write_text("")
    with pytest.raises(StoreError, match=r"store: .*Choose a writable folder with store=FOLDER"):
        Store(tmp_path / place).prepare()
