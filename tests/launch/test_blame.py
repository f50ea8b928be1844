"""Whom the local engine takes to have failed where a worker dies, or hangs."""

import os
import subprocess
from io import StringIO

import pytest
from rich.console import Console

from tests.launch.test_devices import ready, rows
from w2s_sweep.launch.local import LocalEngine
from w2s_sweep.launch.local_run import Run
from w2s_sweep.launch.progress import Progress
from w2s_sweep.launch.worker_process import Worker
from w2s_sweep.plan.packs import Pack
from w2s_sweep.runner.worker import LOST
from w2s_sweep.store.claim import file_system_now
from w2s_sweep.store.files import write_json


class Idle(Worker):
    """A process that does nothing and tells nothing by itself."""

    def __init__(self, run: Run):
        self.places, self.log, self.hung = [None], run.job.folder / "idle.log", False
        self.pack, self.running = None, []
        self.process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert self.process.stdin is not None
        self._stdin = self.process.stdin

    def dismiss(self) -> None:
        self._stdin.close()
        self.process.wait()


class Watched:
    """A pass of the engine over one pack of three stages."""

    def __init__(self, folder):
        job = ready(folder / "store", [rows(folder, name) for name in "xyz"])
        write_json(job.folder / "sweep.json", {"cells": []})
        self.job, self.keys, self.said = job, list(job.plan.graph.stages), StringIO()
        pack = Pack("all", tuple(job.plan.graph.stages.values()), frozenset())
        progress = Progress(job, self.keys, Console(file=self.said, width=200))
        self.run = Run(LocalEngine(stall_minutes=1), job, [pack], progress)
        self.give()

    def give(self):
        """What is left to a new worker."""
        self.worker = Idle(self.run)
        self.run.workers.append(self.worker)
        self.run._assign()

    def tell(self, **event):
        self.run.events.put((self.worker, event))
        self.run._listen()

    def start(self, *keys):
        for key in keys:
            self.tell(start=key)

    def look(self):
        self.run.looked = 0.0
        self.run._end_stalled()

    def last_words(self, key, seconds_ago):
        log = self.job.store.work(key) / "log.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        then = file_system_now(self.job.store.root) - seconds_ago
        os.utime(log, (then, then))

    def failed(self):
        return {path.parent.name for path in self.job.store.root.glob("work/*/failure.json")}

    def left(self):
        (pack,) = self.run.waiting
        return list(pack.keys)


@pytest.fixture
def watched(tmp_path):
    made = Watched(tmp_path)
    yield made
    for worker in made.run.workers:
        worker.dismiss()


def test_a_worker_that_dies_with_several_stages_has_them_all_repeated_and_none_fails(watched):
    x, y, z = watched.keys
    watched.start(x, y)
    watched.tell(died=-9)
    assert (watched.failed(), watched.left()) == (set(), [x, y, z])
    assert "their process died (signal SIGKILL), each is repeated alone" in watched.said.getvalue()
    watched.give()  # which runs each alone
    watched.start(x)
    watched.tell(died=-9)
    assert (watched.failed(), watched.left()) == ({x}, [y, z])


@pytest.mark.parametrize(("ends", "blamed"), [(0, 1), (1, 0)])
def test_the_one_that_is_left_of_several_is_blamed(watched, ends, blamed):
    watched.start(*watched.keys[:2])
    watched.tell(end=watched.keys[ends], outcome="done")
    watched.tell(died=1)
    assert watched.failed() == {watched.keys[blamed]}


def test_between_two_stages_the_next_one_is_blamed_and_after_a_lost_gpu_nobody(watched):
    watched.tell(died=LOST)
    assert watched.failed() == set()
    watched.give()
    watched.tell(died=1)
    assert watched.failed() == {watched.keys[0]}


def test_several_stages_hang_when_none_of_them_has_written_anything(watched):
    x, y, _ = watched.keys
    watched.start(x, y)
    watched.last_words(x, 900)
    watched.last_words(y, 9)
    for _ in range(2):
        watched.look()
    assert not watched.worker.hung
    watched.tell(end=y, outcome="failed")
    for _ in range(2):
        watched.look()
    assert watched.worker.hung
    watched.tell(died=watched.worker.process.wait())
    assert (watched.failed(), watched.left()) == (set(), [x, watched.keys[2]])
    assert f"{x[:10]}: no progress, it is repeated" in watched.said.getvalue()
