"""Retry, cancel, submissions that die, and code that changes: what is queued stays right, whoever does what."""

import json
import os
import shutil
import signal
import time

import pytest

from tests.command import launch, sweep_record, trained
from tests.slurm.cluster import Cluster, Settings
from tests.slurm.launching import (
    FAST,
    ONE_EACH,
    ROOT,
    SMALL,
    WAIT,
    finish,
    job_logs,
    paused,
    start,
    starts,
    submissions,
)
from tests.slurm.processes import wait_until
from w2s_sweep.cli import main as w2s


@pytest.fixture(autouse=True)
def _here(slurm, monkeypatch):
    for name, value in slurm.env().items():
        monkeypatch.setenv(name, value)
    yield
    slurm.run("scancel", "--quiet", "--me")  # what a failed test left
    slurm.wait_idle()


@pytest.fixture
def argv(tmp_path, tiny_models, tiny_task):
    return ["-m", f"store={tmp_path / 'store'}", *tiny_models, *tiny_task, *FAST, *SMALL, ONE_EACH]


def names(slurm):
    return slurm.run("squeue", "--noheader", "--array", "--format=%j %r").split("\n")[:-1]


def test_retry_submits_what_failed_and_what_needs_it(slurm, tmp_path, tiny_models, argv, capsys):
    store = tmp_path / "store"
    weak = next(o for o in tiny_models if o.startswith("weak.path="))
    copy = shutil.copytree(weak.partition("=")[2], tmp_path / "weak")
    with paused(slurm):
        assert launch(*argv, f"weak.path={copy}", "seed=0,1")[0] == 0
        copy.rename(tmp_path / "away")

        def stuck() -> bool:
            w2s(["--store", str(store), "status"])
            return "4 stuck, 2 waiting" in capsys.readouterr().out

        wait_until(stuck, 60, "the controller to see that the partition is down")
    slurm.wait_idle()
    (tmp_path / "away").rename(copy)
    w2s(["--store", str(store), "status"])
    assert "3 done, 2 waiting, 2 failed" in capsys.readouterr().out
    name = sweep_record(store)["name"]
    before = starts(store)
    assert w2s(["--store", str(store), "retry", name, "--wait"]) == 0
    assert "2 of 2 cells" in capsys.readouterr().out
    roles = [cell["roles"] for cell in sweep_record(store)["cells"]]
    assert starts(store) - before == {key: 1 for r in roles for key in (r["weak"], r["student"])}
    assert sum(len(task["stages"]) for task in submissions(store)[-1]["tasks"]) == 4


@pytest.mark.extensive
def test_a_task_whose_end_slurm_has_lost_is_queued_again_and_frees_what_waits(slurm, tmp_path, argv, monkeypatch):
    """The batch script of the first run hangs after its process has ended, as a task does whose daemon died then."""
    monkeypatch.setattr("w2s_sweep.launch.slurm.mend.OVER_SECONDS", 0.0)
    hang = 'hydra.launcher.setup=[\'[ -n "$SLURM_RESTART_COUNT" ] || trap "sleep 600" EXIT\']'
    assert launch(*argv, "seed=0", hang)[0] == 0
    store, record = tmp_path / "store", sweep_record(tmp_path / "store")
    first = {record["cells"][0]["roles"][role] for role in ("weak", "ceiling")}
    wait_until(lambda: first <= trained(store).keys(), 120, "the supervisor and the ceiling")
    status, out, err = launch(*argv, "seed=0", hang, WAIT)
    assert status == 0, err
    assert "jobs that did not end after their stages were queued again" in out
    assert len(trained(store)) == 3
    assert set(starts(store).values()) == {1}


def test_cancel_keeps_what_another_sweep_needs(slurm, tmp_path, argv, capsys):
    store = tmp_path / "store"
    with paused(slurm):
        assert launch(*argv, "seed=0,1", "name=first")[0] == 0
        status, out, _ = launch(*argv, "seed=1,2", "name=second")
        assert status == 0
        assert "3 in flight" in out
        assert w2s(["--store", str(store), "cancel", "first"]) == 0
        out = capsys.readouterr().out
        assert "3 jobs cancelled, 3 kept because other sweeps need them: second" in out
    slurm.wait_idle()
    assert w2s(["--store", str(store), "status", "second"]) == 0
    assert "second: 7 done" in capsys.readouterr().out
    assert len(trained(store)) == 6
    assert w2s(["--store", str(store), "cancel", "first"]) == 1
    assert "none of its stages is queued" in capsys.readouterr().err
    assert launch(*argv, "seed=0,1", "name=first", WAIT)[0] == 0
    assert len(trained(store)) == 9
    assert set(starts(store).values()) == {1}


def test_the_last_of_two_cancelled_sweeps_takes_what_they_shared(slurm, tmp_path, argv):
    store = tmp_path / "store"
    with paused(slurm):
        for name in ("first", "second"):
            assert launch(*argv, "seed=0", f"name={name}")[0] == 0
        assert len(names(slurm)) == 3
        assert w2s(["--store", str(store), "cancel", "second"]) == 0
        assert len(names(slurm)) == 3
        assert w2s(["--store", str(store), "cancel", "first"]) == 0
        slurm.wait_idle()


def test_a_cancelled_running_sweep_can_be_submitted_at_once(slurm, tmp_path, argv):
    store = tmp_path / "store"
    long = "hydra.launcher.setup=['sleep 3']"
    assert launch(*argv, "seed=0", "name=a", long)[0] == 0
    assert w2s(["--store", str(store), "cancel", "a"]) == 0
    status, _, err = launch(*argv, "seed=0", "name=a", WAIT)
    assert status == 0, err
    assert len(trained(store)) == 3


@pytest.mark.parametrize("dies_in", [pytest.param("set_dependencies", marks=pytest.mark.extensive), "release"])
def test_a_submission_that_dies_is_mended_by_the_next(slurm, tmp_path, argv, dies_in):
    store = tmp_path / "store"
    die = f"import os, w2s_sweep.launch.slurm.commands as c; c.{dies_in} = lambda _: os._exit(9)"
    assert finish(start(slurm, *argv, "seed=0,1", code=die))[0] == 9
    states = [json.loads(path.read_text())["state"] for path in (store / "queued").iterdir()]
    assert states == [{"set_dependencies": "submitting", "release": "held"}[dies_in]]
    assert {line.split()[1].strip("()") for line in names(slurm)} <= {"None", "BeginTime", "Dependency"}
    status, out, err = launch(*argv, "seed=0,1", WAIT)
    assert status == 0, err
    assert {"set_dependencies": "6 jobs were cancelled", "release": "6 jobs were released"}[dies_in] in out
    assert len(trained(store)) == 6
    assert starts(store) == dict.fromkeys(trained(store), 1)
    slurm.wait_idle()


def test_tasks_that_come_back_after_their_cancellation_are_cancelled_again(slurm, tmp_path, argv, capsys):
    """A controller that crashes within seconds of it brings them back."""
    store = tmp_path / "store"
    die = "import os, w2s_sweep.launch.slurm.commands as c; c.set_dependencies = lambda _: os._exit(9)"
    assert finish(start(slurm, *argv, "seed=0", code=die))[0] == 9
    (name,) = {line.split()[0] for line in names(slurm)}
    assert launch(*argv, "seed=0", WAIT)[0] == 0
    slurm.wait_idle()
    slurm.run("sbatch", f"--job-name={name}", "--begin=now+7days", "--wrap=true")
    assert w2s(["--store", str(store), "retry", sweep_record(store)["name"]]) == 0
    assert "1 jobs were cancelled" in capsys.readouterr().out
    assert not names(slurm)


@pytest.mark.extensive
def test_a_release_that_the_controller_forgot_is_made_up_for(slurm, tmp_path, argv, capsys):
    """One that crashes comes back with what it knew some seconds ago."""
    store = tmp_path / "store"
    with paused(slurm):
        assert launch(*argv, "seed=0,1")[0] == 0
        before = names(slurm)
        for task in submissions(store)[0]["tasks"]:
            slurm.scontrol("update", f"jobid={task['job']}", "dependency=", "starttime=now+7days")
    wait_until(lambda: all("BeginTime" in line for line in names(slurm)), 30, "all tasks to wait for their time")
    assert w2s(["--store", str(store), "status"]) == 0
    assert "2 waiting, 4 lost" in capsys.readouterr().out
    with paused(slurm):
        assert w2s(["--store", str(store), "retry", sweep_record(store)["name"]]) == 0
        out = capsys.readouterr().out
        assert "6 jobs were released" in out
        assert "nothing to submit" in out
        wait_until(lambda: names(slurm) == before, 30, f"{before}")
    slurm.wait_idle()
    assert starts(store) == dict.fromkeys(trained(store), 1)
    assert len(trained(store)) == 6


def test_tasks_that_slurm_holds_after_a_failed_launch_are_released(
    tmp_path_factory, tmp_path, argv, monkeypatch, capsys
):
    store, broken, prolog = tmp_path / "store", tmp_path / "broken", tmp_path / "prolog"
    prolog.write_text(f"#!/bin/sh\n[ ! -e {broken} ]\n")
    prolog.chmod(0o755)
    broken.touch()
    settings = Settings(nodes=2, accounting=False, extra=(f"Prolog={prolog}",))
    with Cluster(tmp_path_factory.mktemp("prolog"), settings) as cluster:
        for name, value in cluster.env().items():
            monkeypatch.setenv(name, value)
        assert launch(*argv, "seed=0")[0] == 0
        wait_until(lambda: sum("held" in line for line in names(cluster)) == 2, 60, "two tasks to be held")
        w2s(["--store", str(store), "status"])
        assert "1 waiting, 2 lost" in capsys.readouterr().out
        broken.unlink()
        cluster.scontrol("update", "nodename=ALL", "state=resume")
        assert w2s(["--store", str(store), "retry", sweep_record(store)["name"]]) == 0
        assert "2 jobs were released" in capsys.readouterr().out
        cluster.wait_idle()
    assert starts(store) == dict.fromkeys(trained(store), 1)
    assert len(trained(store)) == 3


def test_the_submitter_may_be_killed_while_it_waits(slurm, tmp_path, argv):
    store = tmp_path / "store"
    with paused(slurm):
        waiting = start(slurm, *argv, "seed=0", WAIT)
        for line in waiting.stdout:
            if "submitted in" in line:
                break
        os.kill(waiting.pid, signal.SIGKILL)
        finish(waiting)
    slurm.wait_idle()
    assert len(trained(store)) == 3


def until_line(process, text):
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"no line with {text!r}")


@pytest.mark.extensive
def test_who_waits_goes_on_when_the_controller_is_away_for_a_while(own_cluster, tmp_path, argv, monkeypatch):
    for name, value in own_cluster.env().items():
        monkeypatch.setenv(name, value)
    with paused(own_cluster):
        often = "import w2s_sweep.launch.slurm.follow as f; f.QUEUE_SECONDS = 0.1"
        waiting = start(own_cluster, *argv, "seed=0", WAIT, code=often)
        until_line(waiting, "submitted in")
        saved, now = own_cluster.folder / "state" / "job_state", time.time()
        for job in own_cluster.run("squeue", "--noheader", "--format=%F").split():
            own_cluster.scontrol("update", f"jobid={job}", "comment=saved")  # with all that came before
        wait_until(lambda: saved.exists() and saved.stat().st_mtime > now, 60, "the state to be saved")
        own_cluster.crash("slurmctld")
        until_line(waiting, "SLURM does not answer")
        own_cluster.restart("slurmctld")
    status, out = finish(waiting)
    assert status == 0, out
    assert "1 of 1 cells" in out


def test_jobs_run_the_code_that_was_submitted(slurm, tmp_path, argv):
    store, checkout = tmp_path / "store", tmp_path / "checkout"
    for name in ("conf", "w2s_sweep"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    with paused(slurm):
        status, out = finish(start(slurm, *argv, "seed=0", root=checkout))
        assert status == 0, out
        for path in checkout.rglob("*.py"):
            path.write_text("raise SystemExit('edited after submission')\n")
        for path in checkout.rglob("*.yaml"):
            path.write_text("broken: [\n")
    slurm.wait_idle()
    assert len(trained(store)) == 3
    assert "edited" not in job_logs(store)
