"""What the stage's process does with those that compute for it: it hears of the one that failed first, and says so."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from w2s_sweep.errors import Preempted, W2SError
from w2s_sweep.runner.ranks import PREEMPTED, _judge, _wait
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
    write_json(tmp_path / "failed-0.json", {"error": "connection closed by peer", "time": time.time()})
    with pytest.raises(W2SError, match=r"of the 2 processes that compute it, 1 \(SIGKILL\) died"):
        _judge("a stage", [1, -signal.SIGKILL], tmp_path)


def test_the_first_error_is_that_of_the_stage(tmp_path):
    write_json(tmp_path / "failed-0.json", {"error": "connection closed by peer", "time": 2.0})
    write_json(tmp_path / "failed-1.json", {"error": "out of memory", "time": 1.0})
    with pytest.raises(W2SError, match=r"^out of memory$"):
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
