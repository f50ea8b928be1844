"""Stages to learn from are found by what the newest sweeps name: no folder of stages is listed, and reading ends."""

import hashlib
import os
from collections import Counter

import pytest

from tests.launch.named import name_stages
from w2s_sweep.store import Store, records
from w2s_sweep.store.files import write_json
from w2s_sweep.store.records import NamedStage


@pytest.fixture
def store(tmp_path, monkeypatch):
    made = Store(tmp_path / "store")
    made.prepare()
    monkeypatch.setattr(os, "scandir", refuse(made, os.scandir))
    monkeypatch.setattr(os, "listdir", refuse(made, os.listdir))
    return made


def refuse(store, plain):
    def look(folder):
        assert str(folder) != str(store.stages)
        return plain(folder)

    return look


def sweep(store, name, count, age=0.0, kind="finetune", done=True):
    named = [NamedStage(f"{name}{i:03}", kind, f"student {i}") for i in range(count)]
    name_stages(store, name, named)
    if done:
        finish(store, *named)
    path = store.sweep(name) / "sweep.json"
    os.utime(path, (path.stat().st_mtime - age,) * 2)


def finish(store, *stages):
    for one in stages:
        store.path(one.key).mkdir(exist_ok=True)


def recent(store, most=20, but=frozenset(), **wanted):
    chosen = lambda one: all(getattr(one, name) == value for name, value in wanted.items())  # noqa: E731
    return list(store.recent_stages(chosen, but, most))


def test_the_newest_sweep_comes_first_and_each_gives_a_quarter(store):
    sweep(store, "old", 3, age=100)
    sweep(store, "large", 100, age=50)
    sweep(store, "new", 2)
    assert recent(store) == [
        "new000",
        "new001",
        *(f"large{i:03}" for i in range(5)),
        "old000",
        "old001",
        "old002",
    ]
    assert recent(store, most=4) == ["new000", "large000", "old000"]


def test_those_alone_are_given_that_are_wanted_and_each_once(store):
    sweep(store, "one", 2)
    sweep(store, "other", 2, kind="probe")
    again = [NamedStage("one001", "finetune", ""), NamedStage("more1", "finetune", "")]
    name_stages(store, "again", again)
    finish(store, *again)
    assert sorted(recent(store, kind="finetune")) == ["more1", "one000", "one001"]


def test_no_more_names_are_read_than_a_bound(store, monkeypatch):
    for age in range(3):
        sweep(store, f"s{age}x", 4, age=age)
    monkeypatch.setattr(records, "LISTED", 5)
    assert {key[:3] for key in recent(store, most=100)} == {"s0x", "s1x"}


def test_the_quarter_of_a_sweep_has_all_roles_in_whatever_order_cells_name_them(store):
    """Of a list of weak, student, ceiling, weak, ... every third is of one role; keys are digests."""
    roles = ("weak", "student", "ceiling")
    named = [NamedStage(hashlib.sha256(bytes([i])).hexdigest(), "finetune", roles[i % 3]) for i in range(60)]
    name_stages(store, "cells", named)
    finish(store, *named)
    role = {one.key: one.label for one in named}
    assert Counter(role[key] for key in recent(store, most=80)) == {"weak": 9, "student": 4, "ceiling": 7}


def test_stages_that_are_not_finished_take_no_place(store):
    sweep(store, "done", 3, age=10)
    sweep(store, "waits", 100, done=False)
    finish(store, NamedStage("waits003", "finetune", ""))
    assert recent(store, most=8) == ["waits003", "done000", "done001"]


def test_of_a_sweep_with_few_finished_stages_no_more_are_looked_for_than_a_bound(store):
    sweep(store, "waits", 100, done=False)
    finish(store, *(NamedStage(f"waits{i:03}", "", "") for i in (7, 8)))
    assert recent(store, most=8) == ["waits007"]


def test_the_names_of_the_sweep_that_asks_leave_room_for_those_of_others(store, monkeypatch):
    """Once it is recorded it is the newest, and a plan of it, which records nothing, learns the same."""
    monkeypatch.setattr(records, "LISTED", 5)
    sweep(store, "other", 2, age=10)
    before = recent(store)
    sweep(store, "own", 9, done=False)
    assert recent(store, but={f"own{i:03}" for i in range(9)}) == before == ["other000", "other001"]


@pytest.mark.parametrize(
    "harm", [b"", b"\xff\xfe", b"[]\n", b'{"key": 1}\n', b'{"key": "../../etc"}\n', b'{"kind": "a"}\n']
)
def test_a_damaged_list_gives_nothing_and_hides_no_other(store, harm):
    sweep(store, "sound", 1, age=10)
    sweep(store, "hurt", 1)
    (store.sweep("hurt") / "stages.jsonl").write_bytes(harm)
    assert recent(store) == ["sound000"]


def test_a_sweep_of_an_earlier_version_and_a_list_cut_off_give_what_there_is(store):
    sweep(store, "early", 1)
    (store.sweep("early") / "stages.jsonl").unlink()
    sweep(store, "cut", 2)
    path = store.sweep("cut") / "stages.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    assert recent(store) == ["cut000"]


def test_a_stage_that_never_ran_is_found_in_lists_and_in_records_where_these_lack_it(store):
    sweep(store, "listed", 3)
    sweep(store, "recorded", 2)
    (store.sweep("recorded") / "stages.jsonl").unlink()
    sweep(store, "cut", 3)
    path = store.sweep("cut") / "stages.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    write_json(store.sweep("hurt") / "sweep.json", {"stages": 7})
    assert store.find_named("listed00") == {"listed000", "listed001", "listed002"}
    assert store.find_named("recorded001") == {"recorded001"}
    assert store.find_named("cut002") == {"cut002"}
    assert store.find_named("li.ted") == set()
