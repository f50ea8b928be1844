"""What a task's script does after its process has ended: scripts are run here, with another process inside."""

import os
import subprocess

import pytest

from w2s_sweep.launch.slurm.job import requeue_orphan


@pytest.fixture
def script(sweeps, cluster, tmp_path):
    """Submit supervisors whose process ends with a status, and run the first one's script; returns how it ended."""

    def run(status: int, **settings) -> int:
        if not cluster.queue:
            python = f"sh -c 'exit {status}'"
            sweeps.submit(sweeps.cell(seed=0), sweeps.cell(seed=1), python=python, **settings)
        cluster.task("101_0").begin = None
        cluster.start("101_0")
        job = {"SLURM_JOB_ID": "101", "SLURM_ARRAY_JOB_ID": "101", "SLURM_ARRAY_TASK_ID": "0"}
        memory = str(cluster.task("101_0").memory_mb)
        path = sweeps.store.sweep("sweep") / "jobs" / "submitit" / "101_submission.sh"
        env = os.environ | job | {"SLURM_MEM_PER_NODE": memory}
        return subprocess.run(["bash", path], env=env, cwd=tmp_path, capture_output=True, check=False).returncode

    return run


def left(sweeps, suffix):
    path = sweeps.store.sweep("sweep") / "jobs" / "submitit" / f"101_0.{suffix}"
    return path.read_text().split("\n")[:-1] if path.exists() else None


def test_success_changes_nothing(sweeps, cluster, script):
    assert script(0) == 0
    assert (left(sweeps, "status"), left(sweeps, "requeues")) == (None, None)
    assert cluster.task("101_0").restarts == 0


@pytest.mark.parametrize("status", [1, 2, 143])
def test_an_error_is_noted_and_not_tried_again(sweeps, cluster, script, status):
    assert script(status) == status
    assert left(sweeps, "status") == [str(status)]
    assert cluster.task("101_0").restarts == 0


def test_who_ran_out_of_time_gets_twice_as_much(sweeps, cluster, script):
    assert script(75, minutes=2) == 75
    task = cluster.task("101_0")
    assert (task.state, task.restarts, task.minutes) == ("PENDING", 1, 4)
    assert left(sweeps, "requeues") == ["time TimeLimit=4"]
    assert cluster.task("101_1").minutes == 2


@pytest.mark.parametrize(("longest", "minutes"), [(3, 3), (1, 2)])
def test_no_more_time_than_the_longest_limit_and_never_less_than_before(cluster, script, longest, minutes):
    script(75, minutes=2, max_minutes=longest)
    assert cluster.task("101_0").minutes == minutes


def test_the_notice_may_come_earlier_than_the_limit(cluster, script):
    script(75, minutes=9, signal_seconds=600)
    assert cluster.task("101_0").minutes == 18


def test_who_was_preempted_is_queued_again_as_it_was(sweeps, cluster, script):
    for restarts in (1, 2, 3):
        assert script(75, minutes=60, time_retries=0) == 75
        task = cluster.task("101_0")
        assert (task.state, task.restarts, task.minutes) == ("PENDING", restarts, 60)
    assert left(sweeps, "requeues") == ["preempted "] * 3


def test_who_ran_out_of_memory_gets_twice_as_much_until_the_tries_are_used_up(sweeps, cluster, script):
    for memory in (14, 28, 28):
        assert script(137, memory_gb=7, memory_retries=2) == 137
        assert cluster.task("101_0").memory_mb == 1024 * memory
    assert left(sweeps, "requeues") == ["memory MinMemoryNode=14336", "memory MinMemoryNode=28672"]
    assert cluster.task("101_0").state == "RUNNING"  # not queued again: SLURM sees it fail
    assert left(sweeps, "status") == ["137"]


def test_time_is_given_so_often_and_no_more(sweeps, cluster, script):
    for minutes in (4, 4):
        script(75, minutes=2, time_retries=1, signal_seconds=600)
        assert cluster.task("101_0").minutes == minutes
    assert left(sweeps, "requeues") == ["time TimeLimit=4"]


def test_what_waits_goes_on_waiting_for_a_task_that_is_queued_again(sweeps, cluster, script):
    script(137)
    student = sweeps.jobs()[sweeps.roles()[0]["student"]]
    assert cluster.queue[student] == "Dependency"


@pytest.mark.parametrize(("restarts", "state"), [("0", "PENDING"), ("1", "RUNNING")])
def test_a_process_that_slurm_lost_sight_of_queues_its_task_again_unless_slurm_did(
    sweeps, cluster, monkeypatch, restarts, state
):
    sweeps.submit(sweeps.cell())
    cluster.start("101")
    monkeypatch.setenv("SLURM_JOB_ID", "101")
    monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
    requeue_orphan()
    assert cluster.task("101").state == state


def test_a_process_outside_any_job_asks_slurm_nothing(cluster, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    requeue_orphan()
    assert not cluster.controller.calls


def test_who_hung_is_queued_again_three_times(sweeps, cluster, script):
    for restarts in (1, 2, 3, 3):
        assert script(74, stall_minutes=30) == 74
        assert cluster.task("101_0").restarts == restarts
    assert left(sweeps, "requeues") == ["stalled "] * 3
    path = sweeps.store.sweep("sweep") / "jobs" / "submitit" / "101_submission.sh"
    assert "export W2S_STALL_MINUTES=30\n" in path.read_text()
