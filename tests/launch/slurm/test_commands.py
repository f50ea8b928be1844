"""SLURM's commands as the launcher calls them: in a clean environment, few at once, and what their errors say."""

import os
from datetime import datetime, timedelta

import pytest

from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.commands import QueuedTask

LEFT_BY_A_JOB = {
    "SLURM_JOB_ID": "7", "SLURM_MEM_PER_CPU": "77", "SLURM_NTASKS": "9", "SBATCH_MEM_BIND": "local", "SRUN_CPUS": "1",
    "SQUEUE_FORMAT": "%i", "SACCT_FORMAT": "JobID", "SCONTROL_ALL": "1", "SLURM_TIME_FORMAT": "relative",
}  # fmt: skip


def test_a_surrounding_job_says_nothing_to_any_command(sweeps, cluster, monkeypatch):
    for name, value in LEFT_BY_A_JOB.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm/slurm.conf")
    sweeps.submit(sweeps.cell())
    assert commands.queue()
    commands.endings({"101": "w2s"})
    commands.cancel(["101"])
    assert {call.program for call in cluster.controller.calls} == {"sbatch", "squeue", "scontrol", "sacct", "scancel"}
    for call in cluster.controller.calls:
        assert {name for name in call.variables if name in LEFT_BY_A_JOB or name.startswith("SLURM_")} == {"SLURM_CONF"}
    assert LEFT_BY_A_JOB.items() <= os.environ.items()


def test_a_missing_command_says_where_to_run(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not commands.available()
    with pytest.raises(LaunchError, match=r"squeue: not found.*login node.*hydra/launcher=local"):
        commands.queue()


def test_a_refusal_is_told_in_slurms_words(cluster):
    with pytest.raises(LaunchError, match="scontrol: Invalid job id specified for job 7"):
        commands.release(["7"])


def test_a_controller_that_does_not_answer_is_told_as_such(cluster, monkeypatch):
    monkeypatch.setattr(commands, "TIMEOUT_SECONDS", 0.2)
    cluster.install("squeue", "#!/bin/sh\nexec sleep 1000\n")
    with pytest.raises(LaunchError, match=r"squeue: no answer in 0.2 s. Is slurmctld up\?"):
        commands.queue()


def test_the_queue_holds_tasks_and_single_jobs_that_have_not_ended(cluster):
    later = datetime.now().replace(microsecond=0) + timedelta(days=7)
    cluster.put(3, begin=later)
    cluster.put(name="w2s-1-0", minutes=60)
    cluster.end("101_1")
    cluster.start("102")
    cluster.task("101_2").dependency = "afterok:101_0"
    started = cluster.task("102").started.isoformat(timespec="seconds")
    assert commands.queue() == {
        "101_0": QueuedTask("101_0", "w2s-0-0", "PENDING", "BeginTime", "30:00", later.isoformat()),
        "101_2": QueuedTask("101_2", "w2s-0-0", "PENDING", "Dependency", "30:00", later.isoformat()),
        "102": QueuedTask("102", "w2s-1-0", "RUNNING", "None", "60:00", started),
    }


def test_the_queue_is_ones_own_or_that_of_the_users_who_submitted(cluster):
    cluster.put()
    cluster.put(user="bob")
    cluster.put(user="eve")
    me = cluster.controller.me
    assert list(commands.queue()) == ["101"]
    assert list(commands.queue(["bob", me])) == ["101", "102"]
    assert len(cluster.calls("squeue")) == 2


def test_a_running_task_says_since_when_it_runs(cluster):
    cluster.put(2)
    cluster.start("101_0")
    cluster.task("101_0").started -= timedelta(hours=1)
    running, pending = commands.queue().values()
    assert 3600 <= running.running_seconds < 3700
    assert pending.running_seconds == 0
    assert QueuedTask("1", "n", "RUNNING", "None", "1:00", "N/A").running_seconds == 0


def test_endings_are_those_of_jobs_with_the_right_name(cluster):
    cluster.put(name="w2s-aa-0")
    cluster.put(name="somebody-elses")
    cluster.put(2, name="w2s-bb-1")
    cluster.end("101", "FAILED", "1:0")
    cluster.end("102", "FAILED", "1:0")
    commands.cancel(["103_1"])
    wanted = {"101": "w2s-aa-", "102": "w2s-aa-", "103_0": "w2s-bb-", "103_1": "w2s-bb-", "999": "w2s-bb-"}
    assert commands.endings(wanted) == {
        "101": "FAILED (exit 1:0)",
        "103_0": "PENDING (exit 0:0)",
        "103_1": "CANCELLED by 0 (exit 0:0)",
    }


def test_endings_are_asked_for_in_parts_and_not_at_all_where_there_are_none(cluster):
    assert commands.endings({}) == {}
    assert not cluster.calls("sacct")
    assert commands.endings({str(job): "w2s" for job in range(1001)}) == {}
    assert [len(call.arguments[-1].split(",")) for call in cluster.calls("sacct")] == [500, 500, 1]


def test_a_cluster_without_accounting_knows_no_endings(cluster, monkeypatch, tmp_path):
    cluster.put()
    cluster.controller.accounting = False
    assert commands.endings({"101": "w2s"}) == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commands.endings({"101": "w2s"}) == {}


def test_the_longest_array_is_what_the_cluster_says(cluster):
    cluster.controller.max_array = 30
    assert commands.cluster_config().max_array_size == 30
    cluster.install("scontrol", "#!/bin/sh\necho ClusterName = x\n")
    assert commands.cluster_config().max_array_size == 1001


def test_many_changes_are_one_command_and_long_ones_their_own(cluster):
    """scontrol reads no line of any length."""
    cluster.put(400)
    everything = ",".join(f"afterany:101_{index}" for index in range(300))
    wanted = {f"101_{index}": f"afterok:101_{index - 300}" for index in range(300, 398)}
    commands.set_dependencies(wanted | {"101_398": everything, "101_399": "afterok:101_0"})
    assert {job: cluster.task(job).dependency for job in wanted} == wanted
    assert cluster.task("101_398").dependency == everything
    assert cluster.task("101_399").dependency == "afterok:101_0"
    first, long, rest = cluster.calls("scontrol")
    assert first.stdin == "update jobid=101_399 dependency=afterok:101_0\nquit\n"
    assert long.arguments == ["update", "jobid=101_398", f"dependency={everything}"]
    lines = rest.stdin.splitlines()
    assert (lines[0], len(lines)) == ("update jobid=101_397 dependency=afterok:101_97", 99)


def test_a_change_that_is_refused_is_an_error_although_others_went_well(cluster):
    cluster.put(2)
    with pytest.raises(LaunchError, match="Invalid job id specified for job 9"):
        commands.set_dependencies({"9": "afterok:101_0", "101_1": "afterok:101_0"})
    assert cluster.task("101_1").dependency == "afterok:101_0"


def test_tasks_are_released_taken_off_hold_and_queued_again(cluster):
    cluster.put(2, begin=datetime.now() + timedelta(days=7))
    cluster.put(held="launch failed requeued held")
    commands.release(["101"])
    commands.unhold(["102"])
    assert set(cluster.queue.values()) == {"Resources"}
    cluster.start("101_1")
    commands.requeue(["101_1"])
    assert cluster.queue == {"101_0": "Resources", "101_1": "BeginTime", "102": "Resources"}
    assert cluster.task("101_1").restarts == 1


def test_nothing_to_change_is_no_command(cluster):
    for change in (commands.release, commands.unhold, commands.requeue, commands.cancel):
        change([])
    commands.set_dependencies({})
    assert not cluster.controller.calls


def test_many_jobs_are_cancelled_in_parts(cluster):
    cluster.put(1001)
    commands.cancel(list(cluster.queue))
    assert cluster.queue == {}
    assert [len(call.arguments) for call in cluster.calls("scancel")] == [500, 500, 1]


@pytest.mark.parametrize("busy", ["Socket timed out on send/recv operation", "Zero Bytes were transmitted or received"])
def test_a_controller_that_is_busy_is_asked_three_times(cluster, busy):
    cluster.put()
    cluster.fail("squeue", f"slurm_load_jobs error: {busy}", times=2)
    assert list(commands.queue()) == ["101"]
    cluster.fail("squeue", f"slurm_load_jobs error: {busy}", times=3)
    with pytest.raises(LaunchError, match=busy):
        commands.queue()
    assert len(cluster.calls("squeue")) == 6


def test_what_may_have_happened_is_not_asked_for_again(cluster):
    cluster.put()
    cluster.fail("scancel", "Socket timed out on send/recv operation")
    with pytest.raises(LaunchError, match="timed out"):
        commands.cancel(["101"])
    assert len(cluster.calls("scancel")) == 1
