"""Garbage is what a dead run left, never a named result or live work."""

import os

from rich.console import Console

from tests.setups import cell, identify
from tests.store.published import KEY, publish
from w2s_sweep.cells.cell import Sweep
from w2s_sweep.cells.merge import merge
from w2s_sweep.launch.record import Request, record_sweep
from w2s_sweep.store import acquire
from w2s_sweep.store.claim import owner_record
from w2s_sweep.store.files import write_json
from w2s_sweep.store.garbage import collect_garbage


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
    assert store.is_done(KEY)
    assert store.work("a" * 20).is_dir()


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
