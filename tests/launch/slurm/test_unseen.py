"""What cannot be seen is not gone: jobs of others where they are private, and of other clusters on the file system."""

import errno
import getpass
import os
from pathlib import Path

import pytest

from w2s_sweep.cells.cell import Sweep
from w2s_sweep.cli import main as w2s
from w2s_sweep.launch.engine import Job
from w2s_sweep.launch.record import Request
from w2s_sweep.launch.resolve import resolve_all
from w2s_sweep.launch.slurm import queued
from w2s_sweep.launch.slurm.queued import forget_ended, queued_jobs, say_state
from w2s_sweep.launch.status import stage_states
from w2s_sweep.launch.sweep import run_cells


@pytest.fixture
def roles(sweeps, cluster, monkeypatch):
    """Of a sweep that another user has submitted to a cluster where jobs are private."""
    (sweeps.store.root / "code").unlink()  # the copies that all tests share are one user's
    monkeypatch.setenv("LOGNAME", "bob")
    cluster.controller.private = True
    cluster.controller.me = "bob"
    sweeps.submit(sweeps.cell(), name="bobs")
    monkeypatch.delenv("LOGNAME")
    cluster.controller.me = getpass.getuser()
    (found,) = sweeps.roles("bobs")
    return found


def states(sweeps, name="bobs"):
    return {found.key: found for found in stage_states(sweeps.store, name)}


def test_jobs_that_are_private_are_unknown_and_not_submitted_again(sweeps, cluster, roles):
    assert states(sweeps)[roles["weak"]].state == "unknown"
    job = sweeps.jobs()[roles["weak"]]
    why = "jobs of other users are private on this cluster"
    assert states(sweeps)[roles["weak"]].note == f"job {job} cannot be seen from here: {why}"
    assert queued_jobs(sweeps.store) == sweeps.jobs()
    before = len(cluster.controller.tasks)
    sweeps.submit(sweeps.cell(), name="mine")
    assert len(cluster.controller.tasks) == before


def test_the_log_of_anothers_job_is_said_to_be_private(sweeps, cluster, roles, capsys):
    cluster.controller.tasks.clear()  # lost
    why = f"what its job {sweeps.jobs()[roles['weak']]} printed is private to bob, who submitted it"
    assert w2s(["--store", str(sweeps.store.root), "logs", roles["weak"]]) == 1
    assert why in " ".join("".join(capsys.readouterr()).split())
    sweeps.submit(sweeps.cell(seed=7), name="mine")
    (mine,) = sweeps.roles("mine")
    assert w2s(["--store", str(sweeps.store.root), "logs", mine["weak"]]) == 1
    said = "".join(capsys.readouterr())
    assert "no log yet. `w2s status`" in " ".join(said.split())
    assert "private" not in said


def say(sweeps, monkeypatch, job, state):
    (record,) = sweeps.submissions()
    monkeypatch.setenv("SLURM_JOB_NAME", f"w2s-{record['token']}-0")
    monkeypatch.setenv("SLURM_JOB_ID", job)
    say_state(sweeps.store, state)


def test_a_job_that_says_that_it_ended_is_believed(sweeps, roles, monkeypatch):
    job = sweeps.jobs()[roles["weak"]]
    say(sweeps, monkeypatch, job, "running")
    assert roles["weak"] in queued_jobs(sweeps.store)
    say(sweeps, monkeypatch, job, "ended")
    assert queued_jobs(sweeps.store).keys() == {roles["student"], roles["ceiling"]}
    assert states(sweeps)[roles["weak"]].state == "lost"


def test_what_jobs_say_is_looked_up_once_however_many_they_are(sweeps, roles, monkeypatch):
    for job in sweeps.jobs().values():
        say(sweeps, monkeypatch, job, "running")
    folder, looks = sweeps.store.root / "queued" / "jobs", list[Path]()
    for name in ("iterdir", "glob"):
        look = getattr(Path, name)
        monkeypatch.setattr(Path, name, lambda path, *said, look=look: looks.append(path) or look(path, *said))
    assert len(queued_jobs(sweeps.store)) > 1
    assert looks.count(folder) == 1


def test_jobs_whose_words_are_not_for_us_to_read_are_believed_in(sweeps, roles, monkeypatch):
    folder, look = sweeps.store.root / "queued" / "jobs", Path.iterdir
    folder.mkdir()

    def refuse(path):
        if path == folder:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert queued_jobs(sweeps.store) == sweeps.jobs()


def test_a_job_that_is_silent_for_long_is_believed_in_no_more(sweeps, roles, monkeypatch):
    monkeypatch.setattr(queued, "UNSEEN_SECONDS", -1.0)
    assert queued_jobs(sweeps.store) == {}
    assert states(sweeps)[roles["weak"]].state == "lost"


def test_records_of_jobs_that_cannot_be_seen_are_kept(sweeps, roles):
    (path,) = (sweeps.store.root / "queued").glob("*.json")
    os.utime(path, (0, 0))
    forget_ended(sweeps.store)
    assert path.is_file()


def test_another_clusters_view_knows_that_it_knows_nothing(sweeps, cluster):
    sweeps.submit(sweeps.cell())
    (roles,) = sweeps.roles()
    cluster.controller.cluster = "other"
    cluster.controller.tasks.clear()
    cluster.controller.by_name.clear()
    assert states(sweeps, "sweep")[roles["weak"]].state == "unknown"
    assert "submitted to the cluster stand-in, this is other" in states(sweeps, "sweep")[roles["weak"]].note
    sweeps.submit(sweeps.cell())  # nothing here can wait for that job: claims keep the two apart
    assert states(sweeps, "sweep")[roles["weak"]].state == "queued"


class _Here:
    """An engine of this machine."""

    ran = dry_run = False

    def device(self, stage):
        return None

    def counts(self, stage):
        return (1,)

    def explain(self, store, plan):
        return ()

    def run(self, job: Job) -> bool:
        self.ran = True
        assert job.replanned().keys("to run")
        return False


def test_a_controller_that_is_away_stops_no_plan_and_no_local_run(sweeps, cluster, capsys):
    sweeps.submit(sweeps.cell())
    cluster.go_away()
    cells = [sweeps.cell(seed=1)]
    request, engine = Request(["launch.py"], overrides=[[]]), _Here()
    for plan_only in (True, False):
        sweep = Sweep(store=str(sweeps.store.root), name="here", plan_only=plan_only)
        run_cells(cells, sweep, resolve_all(cells), request, engine)
        assert "what is queued is not known, SLURM does not answer" in capsys.readouterr().err
    assert engine.ran
