"""`hydra.launcher.wait=true` shows what ends until nothing more will, whatever fails or is silent meanwhile."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest


@pytest.fixture
def follow(sweeps, monkeypatch, capsys):
    """Submit a cell and wait for it, while each pause lets something happen; returns what was printed."""

    def run(*happens: Callable[[], object], **settings) -> str:
        left = list(happens)

        def pause(seconds):
            assert left, "it waits although nothing will happen any more"
            left.pop(0)()

        clock = SimpleNamespace(sleep=pause, monotonic=time.monotonic)
        monkeypatch.setattr("w2s_sweep.launch.slurm.follow.time", clock)
        monkeypatch.setattr("w2s_sweep.launch.slurm.follow.QUEUE_SECONDS", 0.0)
        capsys.readouterr()
        sweeps.submit(sweeps.cell(), wait=True, **settings)
        assert not left
        return capsys.readouterr().out

    return run


def test_every_stage_is_shown_when_it_is_done(sweeps, cluster, follow):
    out = follow(*[lambda: sweeps.run(most=1)] * 3)
    assert [line.split()[:2] for line in out.splitlines() if "/3" in line] == [["done", f"{i}/3"] for i in (1, 2, 3)]
    assert cluster.queue == {}


def test_what_failed_and_what_needed_it_end_the_wait(sweeps, follow):
    def run():
        sweeps.run(broken=[sweeps.roles()[0]["weak"]])

    ends = [line.split()[0] for line in follow(run).splitlines() if "/3" in line]
    assert sorted(ends) == ["blocked", "done", "failed"]


def test_a_stage_that_runs_without_a_job_is_waited_for(sweeps, cluster, follow, monkeypatch):
    """SLURM lost sight of its job, and its process goes on."""
    from w2s_sweep.store import acquire

    leases = []

    def lose_sight():
        key = sweeps.roles()[0]["ceiling"]
        leases.append(acquire(sweeps.store, key))
        cluster.end(sweeps.jobs()[key], "FAILED", "0:9")
        sweeps.run()

    def end():
        sweeps.finish(sweeps.roles()[0]["ceiling"])
        leases.pop().release()

    out = follow(lose_sight, end)
    assert [line.split()[0] for line in out.splitlines() if "/3" in line] == ["done"] * 3


def test_a_controller_that_is_away_for_a_while_ends_nothing(sweeps, cluster, follow):
    out = follow(cluster.go_away, lambda: None, cluster.come_back, sweeps.run)
    assert out.count("SLURM does not answer, the next look may tell more") == 2
    assert "3/3" in out


def test_tasks_that_need_a_hand_get_it(sweeps, cluster, follow):
    def forget():
        for task in cluster.controller.tasks:
            task.begin = datetime.now() + timedelta(days=6)

    follow(forget, sweeps.run)
    assert cluster.queue == {}
