"""What dead submitters and a controller that forgot leave in the queue is put right by the next submission."""

import os
import time
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.slurm.lock import settle
from w2s_sweep.launch.slurm.mend import OVER_SECONDS, mend


def grid(sweeps):
    return [sweeps.cell(seed=seed) for seed in (0, 1)]


def states(sweeps):
    return [record["state"] for record in sweeps.submissions()]


def test_tasks_that_were_written_down_and_not_released_are_released(sweeps, cluster, capsys):
    cluster.fail("starttime=now")
    with pytest.raises(LaunchError, match="Unable to contact slurm controller"):
        sweeps.submit(*grid(sweeps))
    assert states(sweeps) == ["held"]
    assert set(cluster.queue.values()) == {"BeginTime", "Dependency"}
    sweeps.submit(*grid(sweeps))
    out = capsys.readouterr().out
    assert "6 jobs were released: an earlier submission or SLURM's controller died before" in out
    assert "nothing to submit" in out
    assert states(sweeps) == ["submitted"]
    assert len(sweeps.run()) == 6


def test_tasks_that_were_not_written_down_are_cancelled(sweeps, cluster, capsys):
    """The submitter found no controller to cancel them with."""
    cluster.fail("dependency=", times=1_000_000)
    cluster.fail("squeue", times=1_000_000)
    with pytest.raises(LaunchError):
        sweeps.submit(*grid(sweeps))
    assert states(sweeps) == ["submitting"]
    assert len(cluster.queue) == 6
    cluster.come_back()
    sweeps.submit(*grid(sweeps))
    assert "6 jobs were cancelled: their submission did not come to its end" in capsys.readouterr().out
    assert states(sweeps) == ["cancelled", "submitted"]
    assert len(cluster.queue) == 6
    assert len(sweeps.run()) == 6


def test_cancelled_tasks_that_come_back_are_cancelled_again(sweeps, cluster):
    cluster.fail("dependency=")
    with pytest.raises(LaunchError):
        sweeps.submit(*grid(sweeps))
    (record,) = sweeps.submissions()
    cluster.put(name=f"w2s-{record['token']}-0")
    (other,) = cluster.put(name="w2s-deadbeef-0")
    assert mend(sweeps.store) == ["1 jobs were cancelled: their submission did not come to its end"]
    assert list(cluster.queue) == [other.job]
    assert mend(sweeps.store) == []


def test_a_release_that_the_controller_forgot_is_made_up_for_with_its_dependencies(sweeps, cluster):
    sweeps.submit(*grid(sweeps))
    before = {task.job: task.dependency for task in cluster.controller.tasks}
    for task in cluster.controller.tasks:
        task.begin, task.dependency = datetime.now() + timedelta(days=6), ""
    assert mend(sweeps.store) == ["6 jobs were released: an earlier submission or SLURM's controller died before"]
    assert {task.job: task.dependency for task in cluster.controller.tasks} == before
    assert set(cluster.queue.values()) == {"Resources", "Dependency"}
    assert mend(sweeps.store) == []


def test_dependencies_on_jobs_that_are_gone_are_left_out(sweeps, cluster):
    """The task looks at its inputs itself; SLURM might not know the job any more, or have another of that id."""
    sweeps.submit(sweeps.cell())
    (roles,) = sweeps.roles()
    weak, student = sweeps.jobs()[roles["weak"]], sweeps.jobs()[roles["student"]]
    cluster.start(weak)
    cluster.end(weak)
    cluster.task(student).begin, cluster.task(student).dependency = datetime.now() + timedelta(days=6), ""
    mend(sweeps.store)
    assert cluster.task(student).dependency == ""
    assert cluster.queue[student] == "Resources"


def test_tasks_that_slurm_holds_after_a_failed_launch_are_let_go(sweeps, cluster):
    sweeps.submit(*grid(sweeps))
    cluster.task("101_0").held = "launch failed requeued held"
    cluster.task("101_1").held = "JobHeldUser"
    assert mend(sweeps.store) == ["1 jobs were released: an earlier submission or SLURM's controller died before"]
    assert (cluster.queue["101_0"], cluster.queue["101_1"]) == ("Resources", "JobHeldUser")


def over(sweeps, cluster, roles, *, seconds_ago):
    """The supervisor's stage was done so long ago, and its task began an hour earlier and never ended."""
    job = sweeps.jobs()[roles["weak"]]
    cluster.start(job)
    cluster.task(job).started -= timedelta(hours=1)
    sweeps.finish(roles["weak"])
    folder = sweeps.store.path(roles["weak"])
    then = folder.stat().st_mtime - seconds_ago
    os.utime(folder, (then, then))
    return job


def test_a_task_whose_end_slurm_has_lost_is_queued_again(sweeps, cluster):
    sweeps.submit(sweeps.cell())
    (roles,) = sweeps.roles()
    job = over(sweeps, cluster, roles, seconds_ago=OVER_SECONDS + 10)
    assert mend(sweeps.store) == ["1 jobs that did not end after their stages were queued again"]
    assert (cluster.task(job).state, cluster.task(job).restarts) == ("PENDING", 1)
    assert cluster.queue[sweeps.jobs()[roles["student"]]] == "Dependency"


def test_a_task_that_ends_in_a_moment_is_left_alone(sweeps, cluster):
    sweeps.submit(sweeps.cell())
    (roles,) = sweeps.roles()
    job = over(sweeps, cluster, roles, seconds_ago=OVER_SECONDS - 30)
    assert mend(sweeps.store) == []
    assert cluster.task(job).state == "RUNNING"


def test_a_task_that_still_has_something_to_do_is_left_alone(sweeps, cluster):
    sweeps.submit(sweeps.cell())
    (roles,) = sweeps.roles()
    over(sweeps, cluster, roles, seconds_ago=OVER_SECONDS + 10)
    cluster.start(sweeps.jobs()[roles["ceiling"]])
    cluster.task(sweeps.jobs()[roles["ceiling"]]).started -= timedelta(hours=9)
    mend(sweeps.store)
    assert cluster.task(sweeps.jobs()[roles["ceiling"]]).state == "RUNNING"


def as_if_by(user, sweeps, cluster):
    """Let everything that was submitted so far be somebody else's."""
    for path in (sweeps.store.root / "queued").glob("*.json"):
        path.write_text(path.read_text().replace(f'"user": "{cluster.controller.me}"', f'"user": "{user}"'))
    for task in cluster.controller.tasks:
        task.user = user


def test_what_others_submitted_is_theirs_to_let_go(sweeps, cluster):
    sweeps.submit(*grid(sweeps))
    as_if_by("ann", sweeps, cluster)
    cluster.task("101_0").held = "launch failed requeued held"
    cluster.task("101_1").begin = datetime.now() + timedelta(days=6)
    assert mend(sweeps.store) == []
    assert (cluster.queue["101_0"], cluster.queue["101_1"]) == ("launch failed requeued held", "BeginTime")


def test_a_dead_submission_of_somebody_else_keeps_nobody_from_submitting(sweeps, cluster):
    """SLURM lets nobody cancel it but them."""
    cluster.fail("dependency=", times=1_000_000)
    cluster.fail("squeue", times=1_000_000)
    with pytest.raises(LaunchError):
        sweeps.submit(*grid(sweeps))
    cluster.come_back()
    as_if_by("ann", sweeps, cluster)
    sweeps.submit(*grid(sweeps))
    assert states(sweeps) == ["submitting", "submitted"]
    assert [task.state for task in cluster.controller.tasks if task.user == "ann"] == ["PENDING"] * 6
    assert len([job for job, why in cluster.queue.items() if why == "Resources"]) == 4


def test_what_is_just_ending_is_waited_for(sweeps, cluster, monkeypatch):
    sweeps.submit(sweeps.cell())
    cluster.task("101").state = "COMPLETING"
    looks = []

    def end(seconds):
        looks.append(seconds)
        cluster.end("101", "CANCELLED")

    monkeypatch.setattr("w2s_sweep.launch.slurm.lock.time", SimpleNamespace(sleep=end, monotonic=time.monotonic))
    settle(sweeps.store)
    assert len(looks) == 1
