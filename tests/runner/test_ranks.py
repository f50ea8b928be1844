"""What the stage's process does with those that compute for it: it hears of the one that failed first, and says so."""

import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from w2s_sweep.errors import OutOfMemory, Preempted, W2SError
from w2s_sweep.runner import ranks as runner_ranks
from w2s_sweep.runner.ranks import HALVINGS, PREEMPTED, _judge, _wait, run_on_ranks
from w2s_sweep.store.files import write_json

WAITS = "import sys; sys.exit({'stop': 75, '': 3}[sys.stdin.readline().strip()])"
"""Leaves when it is asked to."""


def ranks(*programs: str) -> list[subprocess.Popen[str]]:
    return [subprocess.Popen([sys.executable, "-c", one], stdin=subprocess.PIPE, text=True) for one in programs]


def end(*running: subprocess.Popen[str]) -> None:
    for rank in running:
        rank.kill()
        rank.wait()
        assert rank.stdin is not None
        rank.stdin.close()


def test_one_that_is_killed_ends_the_wait_for_the_others(tmp_path):
    waiting, killed = ranks(WAITS, "import os; os.kill(os.getpid(), 9)")
    statuses = _wait([waiting, killed], lambda: False, threading.Event())
    assert (statuses, waiting.poll()) == ([0, -signal.SIGKILL], None)
    end(waiting, killed)
    # Others that miss it write errors of their own, which are not the cause.
    write_json(tmp_path / "failed-0.json", {"error": "connection closed by peer", "time": time.time(), "memory": False})
    with pytest.raises(W2SError, match=r"of the 2 processes that compute it, 1 \(SIGKILL\) died"):
        _judge("a stage", [1, -signal.SIGKILL], tmp_path)


@pytest.mark.parametrize("first", [0, 1])
def test_the_first_error_is_that_of_the_stage(tmp_path, first):
    for rank in (0, 1):
        record = {"error": f"of rank {rank}", "time": abs(rank - first), "memory": False}
        write_json(tmp_path / f"failed-{rank}.json", record)
    with pytest.raises(W2SError, match=f"^of rank {first}$"):
        _judge("a stage", [1, 1], tmp_path)


@pytest.mark.parametrize("time", [0.0, 2.0])
def test_too_little_memory_counts_whenever_it_was_told(tmp_path, time):
    write_json(tmp_path / "failed-0.json", {"error": "connection closed by peer", "time": 1.0, "memory": False})
    write_json(tmp_path / "failed-1.json", {"error": "out of memory", "time": time, "memory": True})
    with pytest.raises(OutOfMemory, match=r"^out of memory$"):
        _judge("a stage", [1, 1], tmp_path)


def test_a_request_to_stop_reaches_the_first_and_all_may_end(tmp_path):
    first, other = ranks(WAITS, f"raise SystemExit({PREEMPTED})")
    statuses = _wait([first, other], lambda: True, threading.Event())
    end(first, other)
    assert statuses == [PREEMPTED, PREEMPTED]
    with pytest.raises(Preempted):
        _judge("a stage", statuses, tmp_path)


def test_nothing_is_said_of_a_stage_that_is_done(tmp_path):
    _judge("a stage", [0, 0], tmp_path)


@pytest.mark.parametrize("enough", [1, HALVINGS, HALVINGS + 1])
def test_where_one_has_too_little_memory_all_begin_anew_with_half(tmp_path, monkeypatch, enough):
    """As often as it may help; nothing is left of what was written before."""
    out, told = tmp_path / "out", []
    out.mkdir()

    def start(spec, key, out, folder, rank, count, halved):
        told.append((rank, halved, [path.name for path in out.iterdir()]))
        (out / f"part-{halved}").write_text("half")
        failed = rank == 1 and halved < enough
        if failed:
            write_json(folder / "failed-1.json", {"error": "too little", "time": 1.0, "memory": True})
        return subprocess.Popen(["false" if failed else "true"], stdin=subprocess.PIPE, text=True)

    monkeypatch.setattr(runner_ranks, "_start", start)
    stage = SimpleNamespace(label="a stage", key="key")

    def run():
        run_on_ranks(tmp_path / "spec", stage, out, 2, lambda: False, threading.Event())

    if enough > HALVINGS:
        with pytest.raises(OutOfMemory, match="too little"):
            run()
    else:
        run()
    tries = range(min(enough, HALVINGS) + 1)
    assert told == [(rank, one, [f"part-{one}"] * rank) for one in tries for rank in (0, 1)]


def test_a_request_to_stop_is_heard_between_two_tries(tmp_path, monkeypatch):
    def compute(*_):
        raise OutOfMemory("too little")

    monkeypatch.setattr(runner_ranks, "_compute", compute)
    stage = SimpleNamespace(label="a stage", key="key")
    with pytest.raises(Preempted):
        run_on_ranks(tmp_path / "spec", stage, tmp_path, 2, lambda: True, threading.Event())
