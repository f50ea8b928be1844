"""The bytes of a stage's files are those of one manifest, whatever happens between two reads."""

import builtins
import shutil

import pytest

from tests.store.published import KEY, publish
from w2s_sweep.errors import StoreError


class Meddler:
    """Opens files; something happens as often as it is told when the file is opened."""

    def __init__(self, name, times, action):
        self.name, self.times, self.action = name, times, action
        self.open = builtins.open

    def __call__(self, path, *args, **kwargs):
        if str(path).endswith(self.name) and self.times > 0:
            self.times -= 1
            self.action()
        return self.open(path, *args, **kwargs)


def meddle(monkeypatch, name, times, action) -> None:
    monkeypatch.setattr("w2s_sweep.store.store.open", Meddler(name, times, action), raising=False)


def fail() -> None:
    raise OSError(116, "Stale file handle")


def test_a_stage_replaced_between_two_reads_is_read_as_it_is_then(store, monkeypatch):
    publish(store)

    def replace() -> None:
        shutil.rmtree(store.path(KEY))
        publish(store, text="another result")

    meddle(monkeypatch, "a.txt", 1, replace)
    assert store.contents(KEY, "a.txt", "absent") == {"a.txt": b"another result"}


def test_a_file_that_fails_once_is_read_again(store, monkeypatch):
    publish(store)
    meddle(monkeypatch, "a.txt", 1, fail)
    assert store.contents(KEY, "a.txt") == {"a.txt": b"result"}


def test_a_file_that_fails_each_time_it_is_wanted_is_never_left_out(store, monkeypatch):
    publish(store)
    meddle(monkeypatch, "a.txt", 99, fail)
    with pytest.raises(StoreError, match=f"stage {KEY} .* 3 times what was read is not what its manifest says"):
        store.contents(KEY, "a.txt", "sub/b.bin")
