"""What was written down is believed only while SLURM has the very job: ids are used again, controllers forget."""

import os

import pytest

from w2s_sweep.launch.slurm.queued import (
    RETURN_SECONDS,
    cancelled_mark,
    forget_ended,
    queued_jobs,
    records,
    submissions,
)


@pytest.fixture
def roles(sweeps):
    """Of a sweep of one cell that is queued."""
    sweeps.submit(sweeps.cell())
    (found,) = sweeps.roles()
    return found


def age(sweeps, seconds):
    """Make every record so much older."""
    for path in (sweeps.store.root / "queued").glob("*.json"):
        old = path.stat().st_mtime - seconds
        os.utime(path, (old, old))


def test_a_stage_is_queued_while_slurm_has_its_job(sweeps, cluster, roles):
    jobs = sweeps.jobs()
    assert queued_jobs(sweeps.store) == jobs
    cluster.start(jobs[roles["weak"]])
    assert queued_jobs(sweeps.store) == jobs
    cluster.end(jobs[roles["weak"]])
    assert queued_jobs(sweeps.store).keys() == {roles["student"], roles["ceiling"]}


def test_a_job_with_the_same_id_and_another_name_is_somebody_elses(sweeps, cluster, roles):
    """A controller that crashed may give an id a second time."""
    job = sweeps.jobs()[roles["ceiling"]]
    cluster.task(job).name = "w2s-deadbeef-1"
    assert queued_jobs(sweeps.store).keys() == {roles["student"], roles["weak"]}
    sweeps.submit(sweeps.cell())
    assert sweeps.jobs()[roles["ceiling"]] not in (job, *[t.job for t in cluster.controller.tasks[:3]])


def test_a_stage_that_failed_since_is_not_queued_though_its_job_is(sweeps, roles):
    sweeps.fail(roles["weak"])
    assert queued_jobs(sweeps.store).keys() == {roles["student"], roles["ceiling"]}


def test_a_failure_of_an_earlier_submission_says_nothing_of_this_one(sweeps, roles):
    sweeps.fail(roles["weak"])
    failure = sweeps.store.work(roles["weak"]) / "failure.json"
    before = records(sweeps.store)[roles["weak"]].submitted - 1
    os.utime(failure, (before, before))
    assert roles["weak"] in queued_jobs(sweeps.store)


def test_the_newest_job_of_a_stage_counts(sweeps, cluster, roles):
    first = sweeps.jobs()[roles["weak"]]
    cluster.end(first, "FAILED", "1:0")
    sweeps.submit(sweeps.cell())
    assert records(sweeps.store)[roles["weak"]].job == sweeps.jobs()[roles["weak"]] != first


def test_a_submission_that_was_cancelled_has_no_jobs(sweeps, cluster, roles):
    (path,) = submissions(sweeps.store)
    path.write_text(path.read_text().replace('"state": "submitted"', '"state": "cancelled"'))
    assert records(sweeps.store) == {}


def test_the_users_who_submitted_are_asked_about(sweeps, cluster, roles):
    (path,) = submissions(sweeps.store)
    path.write_text(path.read_text().replace(f'"user": "{cluster.controller.me}"', '"user": "ann"'))
    for task in cluster.controller.tasks:
        task.user = "ann"
    assert len(queued_jobs(sweeps.store)) == 3
    assert cluster.calls("squeue")[-1].arguments[2:5] == ["--user", "ann", "--format=%F|%K|%j|%T|%r|%L|%S"]


def test_records_go_when_nothing_is_left_and_nothing_can_come_back(sweeps, cluster, roles):
    forget_ended(sweeps.store)
    age(sweeps, 2 * RETURN_SECONDS)
    forget_ended(sweeps.store)
    assert len(submissions(sweeps.store)) == 1
    sweeps.run()
    age(sweeps, -2 * RETURN_SECONDS)
    forget_ended(sweeps.store)
    assert len(submissions(sweeps.store)) == 1
    age(sweeps, 2 * RETURN_SECONDS)
    forget_ended(sweeps.store)
    assert submissions(sweeps.store) == {}


def test_others_jobs_keep_no_record(sweeps, cluster, roles):
    sweeps.run()
    cluster.put(name="w2s-deadbeef-0")
    age(sweeps, 2 * RETURN_SECONDS)
    forget_ended(sweeps.store)
    assert submissions(sweeps.store) == {}


def test_a_store_that_nothing_was_submitted_from_asks_slurm_nothing(sweeps, cluster):
    assert queued_jobs(sweeps.store) == {}
    forget_ended(sweeps.store)
    assert not cluster.controller.calls
    assert not cancelled_mark(sweeps.store, "sweep").exists()
