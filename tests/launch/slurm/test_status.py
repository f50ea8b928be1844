"""The states of `w2s status`, from the store and the queue together."""

import re
import socket
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from w2s_sweep.cli import main as w2s
from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.queued import cancelled_mark
from w2s_sweep.launch.stall import STALLED
from w2s_sweep.launch.status import STATES, StageStatus, stage_states, sweep_status
from w2s_sweep.store import acquire
from w2s_sweep.store.files import write_json
from w2s_sweep.terminal import SafeConsole

ROOT = Path(__file__).parents[3]


@pytest.fixture
def roles(sweeps):
    sweeps.submit(sweeps.cell())
    (found,) = sweeps.roles()
    return found


@pytest.fixture
def job(sweeps, roles):
    """Role -> job."""
    return {role: sweeps.jobs()[key] for role, key in roles.items()}


@pytest.fixture
def state(sweeps, roles):
    """What is known of the stage that plays a role."""

    def look(role):
        return next(found for found in stage_states(sweeps.store, "sweep") if found.key == roles[role])

    return look


def words(found):
    return found.state, found.alive


def test_queued_for_the_cluster_and_waiting_for_other_tasks(state, job):
    assert words(state("weak")) == ("queued", True)
    assert state("weak").note == f"job {job['weak']} (Resources)"
    assert words(state("student")) == ("waiting", True)
    assert state("student").note == f"Dependency job {job['student']}"


def test_done_counts_whatever_slurm_says(sweeps, cluster, state, roles, job):
    sweeps.finish(roles["weak"])
    assert words(state("weak")) == ("done", False)
    cluster.go_away()
    assert words(state("weak")) == ("done", False)


def test_a_claimed_stage_runs_and_says_where(sweeps, state, roles, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    lease = acquire(sweeps.store, roles["weak"])
    assert lease is not None
    with lease:
        write_json(
            sweeps.store.work(roles["weak"]) / "progress.json", {"step": 2, "total": 8, "seconds": 1, "earlier": 9}
        )
        assert words(state("weak")) == ("running", True)
        assert state("weak").note == f"2/8 (30 s left) on {socket.gethostname()}, job 77"
    assert state("weak").state == "queued"


def test_a_stage_of_a_running_task_waits_for_its_turn(cluster, state, job):
    cluster.start(job["weak"])
    assert words(state("weak")) == ("queued", True)
    assert state("weak").note == f"its turn in job {job['weak']}"


def test_a_failed_stage_says_why_and_what_needs_it_says_so(sweeps, cluster, state, roles, job):
    cluster.start(job["weak"])
    sweeps.fail(roles["weak"])
    assert words(state("weak")) == ("failed", False)  # while its task goes on with others
    cluster.end(job["weak"], "FAILED", "1:0")
    assert words(state("weak")) == ("failed", False)
    assert "the loss became nan" in state("weak").note
    assert words(state("student")) == ("waiting", False)
    assert state("student").note == "needs weak w0 d xent seed 0, which is failed"
    assert words(state("ceiling")) == ("queued", True)


def test_of_many_failures_five_are_shown_and_the_others_counted(sweeps, roles, capsys):
    found = [StageStatus(f"{i:010}", f"stage {i}", "failed", f"reason {i}") for i in range(7)]
    SafeConsole(width=200).print(sweep_status(sweeps.store, "sweep", found))
    out = capsys.readouterr().out
    assert [i for i in range(7) if f"stage {i} ({i:010}):" in out] == [0, 1, 2, 3, 4]
    assert "... and 2 more failures: `w2s logs KEY`" in out


def test_the_page_of_clusters_explains_every_state():
    page = (ROOT / "docs" / "CLUSTERS.md").read_text().partition("## States")[2].partition("\n\nCtrl-C")[0]
    rows = re.findall(r"^\| (\w+) \| (.+?) \| (.*?) ?\|$", page, re.MULTILINE)
    assert {state for state, _, _ in rows[1:]} == set(STATES)
    assert all(meaning for _, meaning, _ in rows)


def test_a_failed_stage_that_was_submitted_again_is_queued(sweeps, cluster, state, roles, job):
    cluster.start(job["weak"])
    sweeps.fail(roles["weak"])
    cluster.end(job["weak"], "FAILED", "1:0")
    sweeps.submit(sweeps.cell())
    assert words(state("weak")) == ("queued", True)
    assert words(state("student")) == ("waiting", True)


@pytest.mark.parametrize(
    ("left", "note"),
    [
        (None, ""),
        ("137", "; killed, which is what happens when memory runs out"),
        (str(STALLED), "; it was ended each time, as it made no progress"),
        ("3", "; its process ended with 3, `w2s logs"),
    ],
)
def test_a_job_that_ended_without_a_result_is_lost_and_says_how(sweeps, cluster, state, job, left, note):
    if left is not None:
        (sweeps.store.sweep("sweep") / "jobs" / "submitit" / f"{job['weak']}.status").write_text(f"{left}\n")
    cluster.start(job["weak"])
    cluster.end(job["weak"], "FAILED", "9:0")
    assert words(state("weak")) == ("lost", False)
    assert state("weak").note.startswith(f"job {job['weak']} has left the queue: FAILED (exit 9:0){note}")
    assert state("student").note == "needs weak w0 d xent seed 0, which is lost"


def test_without_accounting_a_lost_job_is_lost_all_the_same(cluster, state, job):
    cluster.controller.accounting = False
    cluster.start(job["weak"])
    cluster.end(job["weak"], "FAILED", "9:0")
    assert state("weak").note == f"job {job['weak']} has left the queue"


def test_a_job_of_that_id_with_another_name_is_not_ours(cluster, state, job):
    cluster.task(job["weak"]).name = "w2s-deadbeef-0"
    assert state("weak").note == f"job {job['weak']} has left the queue"


@pytest.mark.parametrize(
    "change",
    [{"begin": datetime.now() + timedelta(days=6)}, {"held": "launch failed requeued held"}],
    ids=["unreleased", "held by SLURM"],
)
def test_a_task_that_needs_a_hand_is_lost_and_says_what_helps(cluster, state, job, change):
    vars(cluster.task(job["weak"])).update(change)
    assert words(state("weak")) == ("lost", False)
    assert "`w2s retry` helps" in state("weak").note


def test_where_slurm_cannot_be_asked_nothing_is_said_to_be_lost(cluster, state, job, monkeypatch, tmp_path):
    cluster.go_away()
    assert words(state("weak")) == ("queued", False)
    assert state("weak").note == f"job {job['weak']}; squeue cannot be asked here"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert state("weak").note == f"job {job['weak']}; squeue cannot be asked here"


def test_what_was_cancelled_on_purpose_says_so_until_it_is_submitted_again(cluster, state, sweeps, job, capsys):
    assert w2s(["--store", str(sweeps.store.root), "cancel", "sweep"]) == 0
    for role in ("weak", "student", "ceiling"):
        assert words(state(role)) == ("cancelled", False)
        assert state(role).note == f"job {job[role]} was cancelled; `w2s retry` submits it again"
    sweeps.submit(sweeps.cell())
    assert words(state("weak")) == ("queued", True)


def test_a_cancellation_that_slurm_refuses_leaves_no_mark(cluster, state, sweeps, job, capsys):
    cluster.fail("scancel", "scancel: error: Kill job error on job id 101: Access/permission denied")
    assert w2s(["--store", str(sweeps.store.root), "cancel", "sweep"]) == 1
    assert "permission denied" in capsys.readouterr().err
    assert not cancelled_mark(sweeps.store, "sweep").exists()
    assert words(state("weak")) == ("queued", True)


def test_another_users_sweep_is_not_cancelled(cluster, sweeps, job, capsys):
    record = sweeps.store.read_sweep("sweep")
    write_json(sweeps.store.sweep("sweep") / "sweep.json", record | {"user": "somebody"})
    assert w2s(["--store", str(sweeps.store.root), "cancel", "sweep"]) == 1
    assert "sweep sweep: it is somebody's, who alone can cancel its jobs." in capsys.readouterr().err
    assert not cluster.calls("scancel")


def test_a_stage_that_has_not_begun_says_so_and_has_no_preimage(sweeps, job, capsys):
    key = sweeps.roles()[0]["student"]
    assert w2s(["--store", str(sweeps.store.root), "explain", key[:12]]) == 1
    assert f"stage {key}: it has not begun, and its preimage is written when it does." in capsys.readouterr().err


def test_a_task_that_somebody_cancelled_with_scancel_is_lost(cluster, state, job):
    commands.cancel([job["weak"]])
    assert state("weak").note == f"job {job['weak']} has left the queue: CANCELLED by 0 (exit 0:0)"
    assert words(state("student")) == ("waiting", False)


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("PartitionTimeLimit", "hydra.launcher.max_minutes"),
        ("QOSMaxWallDurationPerJobLimit", "above a limit of its QOS"),
        ("AssocGrpGRESMinutes", "hydra.launcher.account"),
        ("ReqNodeNotAvail, UnavailableNodes:n1", "maintenance"),
    ],
)
def test_a_task_that_may_wait_for_ever_is_stuck_and_says_what_to_do(cluster, state, job, reason, advice):
    cluster.task(job["weak"]).held = reason
    assert words(state("weak")) == ("stuck", True)
    assert f"job {job['weak']} ({reason}): " in state("weak").note
    assert advice in state("weak").note


def test_watching_asks_slurm_rarely_and_once_for_all_sweeps(sweeps, cluster, capsys, monkeypatch):
    sweeps.submit(sweeps.cell())
    sweeps.submit(sweeps.cell(seed=1), name="other")
    looks = iter(range(20))
    before = len(cluster.calls("squeue"))

    def until_done(seconds):
        if next(looks) == 19:
            for _ in range(6):
                sweeps.run(most=1)

    monkeypatch.setattr("w2s_sweep.commands.status.time", SimpleNamespace(sleep=until_done))
    monkeypatch.setattr("w2s_sweep.launch.status.time", SimpleNamespace(monotonic=lambda: 100.0))
    assert w2s(["--store", str(sweeps.store.root), "status", "--watch"]) == 0
    assert len(cluster.calls("squeue")) - before == 1


def test_the_command_counts_the_states(sweeps, cluster, roles, job, capsys):
    sweeps.finish(roles["ceiling"])
    cluster.start(job["weak"])
    capsys.readouterr()
    assert w2s(["--store", str(sweeps.store.root), "status", "sweep"]) == 0
    assert "sweep: 2 done, 1 queued, 1 waiting" in capsys.readouterr().out


def test_watching_ends_when_nothing_more_will_happen(sweeps, cluster, capsys, monkeypatch):
    """Each look lets the cluster go on by one task."""
    sweeps.submit(sweeps.cell())

    def one_more(seconds):
        assert cluster.queue
        sweeps.run(most=1)

    monkeypatch.setattr("w2s_sweep.commands.status.time", SimpleNamespace(sleep=one_more))
    assert w2s(["--store", str(sweeps.store.root), "status", "sweep", "--watch", "5"]) == 0
    assert "sweep: 4 done" in capsys.readouterr().out
