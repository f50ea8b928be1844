"""`w2s cancel` takes what nobody else needs, and `w2s retry` submits what is missing."""

import pytest

from w2s_sweep.cli import main as w2s
from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.control import Cancelled, cancel, retry


def cells(sweeps, *seeds):
    return [sweeps.cell(seed=seed) for seed in seeds]


def test_cancel_takes_what_is_queued_and_what_runs(sweeps, cluster):
    sweeps.submit(*cells(sweeps, 0, 1))
    cluster.start("101_0")
    assert cancel(sweeps.store, "sweep") == Cancelled(jobs=6, kept=0, needed_by=())
    assert cluster.queue == {}


def test_cancel_spares_what_other_sweeps_need(sweeps, cluster):
    sweeps.submit(*cells(sweeps, 0, 1), name="first")
    sweeps.submit(*cells(sweeps, 1, 2), name="second")
    jobs = sweeps.jobs()
    needed = {jobs[key] for roles in sweeps.roles("second") for key in roles.values()}
    assert cancel(sweeps.store, "first") == Cancelled(jobs=3, kept=3, needed_by=("second",))
    assert cluster.queue.keys() == needed
    assert len(sweeps.run()) == 6


def test_a_task_is_spared_for_one_stage_of_it_that_is_needed(sweeps, cluster):
    sweeps.submit(*cells(sweeps, 0, 1), name="first", pack_flops=1e30)
    sweeps.submit(*cells(sweeps, 1), name="second")
    assert cancel(sweeps.store, "first") == Cancelled(jobs=0, kept=3, needed_by=("second",))
    assert len(cluster.queue) == 3


def test_cancel_touches_nothing_that_the_sweep_does_not_name(sweeps, cluster):
    sweeps.submit(*cells(sweeps, 0), name="first")
    sweeps.submit(*cells(sweeps, 1), name="second")
    theirs = {sweeps.jobs()[key] for key in sweeps.roles("second")[0].values()}
    cancel(sweeps.store, "first")
    assert cluster.queue.keys() == theirs


def test_the_last_of_two_cancelled_sweeps_takes_what_they_shared(sweeps, cluster):
    for name in ("first", "second"):
        sweeps.submit(*cells(sweeps, 0), name=name)
    assert cancel(sweeps.store, "second") == Cancelled(jobs=0, kept=3, needed_by=("first",))
    assert cancel(sweeps.store, "first") == Cancelled(jobs=3, kept=0, needed_by=())
    assert cluster.queue == {}


def test_a_cancelled_sweep_that_is_submitted_again_needs_its_stages_again(sweeps, cluster):
    for name in ("first", "second", "first"):
        sweeps.submit(*cells(sweeps, 0), name=name)
        if name == "second":
            cancel(sweeps.store, "first")
    assert cancel(sweeps.store, "second").needed_by == ("first",)
    assert len(cluster.queue) == 3


def test_there_is_nothing_to_cancel_of_a_sweep_that_has_ended(sweeps, capsys):
    sweeps.submit(*cells(sweeps, 0))
    sweeps.run()
    with pytest.raises(LaunchError, match="none of its stages is queued or running"):
        cancel(sweeps.store, "sweep")
    assert w2s(["--store", str(sweeps.store.root), "cancel", "sweep"]) == 1
    assert "`w2s status sweep` shows it" in capsys.readouterr().err


def test_the_command_says_what_was_cancelled_and_for_whom_jobs_go_on(sweeps, capsys):
    sweeps.submit(*cells(sweeps, 0, 1), name="first")
    sweeps.submit(*cells(sweeps, 1), name="second")
    assert w2s(["--store", str(sweeps.store.root), "cancel", "first"]) == 0
    assert "3 jobs cancelled, 3 kept because other sweeps need them: second" in capsys.readouterr().out


def test_retry_submits_what_failed_and_what_needs_it_and_nothing_else(sweeps, cluster):
    sweeps.submit(*cells(sweeps, 0, 1), cpus=3)
    first, _ = sweeps.roles()
    sweeps.run(broken=[first["weak"]])
    before = len(cluster.controller.tasks)
    retry(sweeps.store, "sweep", wait=False)
    again = cluster.controller.tasks[before:]
    stages = {stage.key for task in again for stage in sweeps.stages_of(task.job)}
    assert stages == {first["weak"], first["student"]}
    assert cluster.task(sweeps.jobs()[first["student"]]).dependency == f"afterok:{sweeps.jobs()[first['weak']]}"
    assert set(sweeps.run()) == stages
    (script, *_) = (sweeps.store.sweep("sweep") / "jobs" / "submitit").glob(f"{again[0].array}_submission.sh")
    assert "--cpus-per-task=3" in script.read_text()


def test_retry_leaves_what_is_in_flight(sweeps, cluster, capsys):
    sweeps.submit(*cells(sweeps, 0))
    queue = cluster.queue
    retry(sweeps.store, "sweep", wait=False)
    assert cluster.queue == queue
    assert "nothing to submit" in capsys.readouterr().out


def test_retry_submits_lost_stages(sweeps, cluster):
    sweeps.submit(*cells(sweeps, 0))
    (roles,) = sweeps.roles()
    cluster.start(sweeps.jobs()[roles["weak"]])
    cluster.end(sweeps.jobs()[roles["weak"]], "FAILED", "0:9")
    retry(sweeps.store, "sweep", wait=False)
    assert len(cluster.queue) == 3
    assert len(sweeps.run()) == 3
