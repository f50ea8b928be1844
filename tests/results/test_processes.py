"""Work in processes beside this one: the same results and errors as without them."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest

from tests.results_store import LOSSES, NAME, Shape, build
from w2s_sweep.errors import W2SError
from w2s_sweep.results import collect as collecting
from w2s_sweep.results import processes
from w2s_sweep.results.collect import collect
from w2s_sweep.results.processes import count_processes, run_beside, stay_alone


@pytest.fixture
def two(monkeypatch):
    """As if it were safe to fork here, and two cores were free."""
    monkeypatch.setattr(processes, "count_processes", lambda: 2)


def fail(text: str) -> None:
    raise W2SError(text)


def test_jobs_are_done_in_several_processes_and_come_back_in_order(two):
    barrier = processes.multiprocessing.get_context("fork").Barrier(2)
    first = [lambda: (barrier.wait(20), os.getpid())[1]] * 2  # which nobody can do both of
    *pids, one, two_ = run_beside([*first, lambda: "one", lambda: "two"])
    assert len({*pids}) == 2
    assert os.getpid() in pids
    assert (one, two_) == ("one", "two")


def test_the_first_job_that_failed_is_told_of_and_nobody_begins_another(two, tmp_path):
    late = [partial((tmp_path / "late").write_text, "begun")] * 3
    with pytest.raises(W2SError, match="first"):
        run_beside([partial(fail, "first"), partial(fail, "second"), *late])
    with pytest.raises(ZeroDivisionError):
        run_beside([lambda: 1, lambda: 1 // 0])


class Odd(Exception):
    """Which cannot be made again from its words alone."""

    def __init__(self, one: str, other: str):
        super().__init__(one + other)


def test_an_error_that_does_not_travel_is_told_all_the_same(two):
    here = os.getpid()

    def elsewhere(error: Exception) -> int:
        if os.getpid() != here:
            raise error
        time.sleep(0.005)
        return 1

    for error in (Odd("the real ", "reason"), type("Local", (Exception,), {})("the real reason")):
        with pytest.raises(W2SError, match=r"(?s)Traceback .*the real reason"):
            run_beside([partial(elsewhere, error)] * 20)


class Closed:
    """Which is not even written down."""

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("closed")


class Broken:
    """Which is written down, and cannot be made again from that."""

    def __reduce__(self) -> tuple[object, ...]:
        return Odd, ("one word",)


@pytest.mark.parametrize("kind", [Closed, Broken])
def test_a_result_that_does_not_travel_is_an_error_that_says_so(two, kind):
    here = os.getpid()

    def elsewhere() -> object:
        if os.getpid() != here:
            return kind()
        time.sleep(0.005)
        return 1

    with pytest.raises(W2SError, match="does not travel between processes"):
        run_beside([elsewhere] * 20)


def test_where_no_process_can_be_started_this_one_does_all(two, monkeypatch):
    def start(*_: object) -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(processes._Beside, "start", start)
    assert run_beside([lambda: 1, lambda: 2, lambda: 3]) == [1, 2, 3]


def test_a_process_that_is_killed_is_an_error_and_no_silence(two):
    here = os.getpid()

    def end() -> int:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.005)
        return 1

    with pytest.raises(W2SError, match="exit code -9"):
        run_beside([end] * 20)


def test_nothing_is_forked_beside_other_threads_or_where_it_is_to_stay_alone(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    assert count_processes() == 2
    with stay_alone():
        assert count_processes() == 1
    with monkeypatch.context() as pool:
        pool.setitem(processes.multiprocessing.current_process()._config, "daemon", True)
        assert count_processes() == 1
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert count_processes() == 1
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setitem(sys.modules, "torch", object())
    assert count_processes() == 1


def test_tasks_that_are_collected_beside_each_other_have_the_same_numbers(two, tmp_path, monkeypatch):
    curve = ((0.5, 0.6, 0.6), (0.6, 0.7, 0.9))
    store = build(tmp_path, Shape(losses=LOSSES[:2], datasets=("sciq", "boolq"), n_test=20, curve=curve))
    alone = collect(store, NAME)
    monkeypatch.setattr(collecting, "MANY", 1)
    beside = collect(store, NAME)
    for field in fields(alone):
        if field.name != "recoveries":  # arrays
            assert getattr(beside, field.name) == getattr(alone, field.name), field.name
    assert list(beside.recoveries) == list(alone.recoveries)
    assert [one.pgr for one in beside.recoveries.values()] == [one.pgr for one in alone.recoveries.values()]


PARENT = """
import os, sys, time
from w2s_sweep.results import processes

def job():
    os.write(1, b"%d\\n" % os.getpid())  # whole: a line of `print` is torn by another process
    time.sleep(600)

processes.count_processes = lambda: 2
processes.run_beside([job, job])
"""


def test_they_die_with_the_process_that_started_them():
    command, root = [sys.executable, "-c", PARENT], Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, start_new_session=True) as parent:
        assert parent.stdout is not None
        pids = {int(parent.stdout.readline()) for _ in range(2)} - {parent.pid}
        assert len(pids) == 1
        parent.kill()
        assert parent.stdout.read() == ""  # ends where nobody has it open any more, so all of them are gone
