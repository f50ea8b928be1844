"""Submission: what each task waits for, in which order SLURM is told, and that all of it is submitted or nothing."""

import json

import pytest

from w2s_sweep.errors import LaunchError

NODE = "Requested node configuration is not available"


def grid(sweeps, seeds=2, **change):
    return [sweeps.cell(seed=seed, **change) for seed in range(seeds)]


def waits(sweeps, cluster):
    """Stage -> what its job waits for, as SLURM has it."""
    return {key: cluster.task(job).dependency for key, job in sweeps.jobs().items()}


def test_a_student_waits_for_its_own_supervisor_alone(sweeps, cluster):
    sweeps.submit(*grid(sweeps))
    jobs, found = sweeps.jobs(), waits(sweeps, cluster)
    for roles in sweeps.roles():
        assert found[roles["weak"]] == found[roles["ceiling"]] == ""
        assert found[roles["student"]] == f"afterok:{jobs[roles['weak']]}"
    assert sorted(jobs.values()) == ["101_0", "101_1", "102_0", "102_1", "102_2", "102_3"]


def test_what_is_written_down_is_what_slurm_was_told(sweeps, cluster):
    sweeps.submit(*grid(sweeps))
    (record,) = sweeps.submissions()
    assert record["state"] == "submitted"
    assert {task["job"]: task["dependency"] for task in record["tasks"]} == {
        task.job: task.dependency for task in cluster.controller.tasks
    }
    assert {task.name.rpartition("-")[0] for task in cluster.controller.tasks} == {f"w2s-{record['token']}"}
    copy = sweeps.store.sweep("sweep") / "jobs" / f"submission-{record['token']}.json"
    assert json.loads(copy.read_text()) == record


def test_tasks_run_in_any_order_that_slurm_allows(sweeps, cluster):
    cells = [sweeps.cell(weak=w, strong=s, seed=seed) for w in ("w0", "w1") for s in ("s0", "s1") for seed in (0, 1)]
    sweeps.submit(*cells)
    ran = sweeps.run()
    assert len(ran) == len(set(ran)) == 4 + 4 + 8
    assert cluster.queue == {}


def test_what_needs_a_failed_stage_is_cancelled_by_slurm_and_the_rest_runs(sweeps, cluster):
    sweeps.submit(*grid(sweeps))
    first, second = sweeps.roles()
    ran = sweeps.run(broken=[first["weak"]])
    assert set(ran) == {first["ceiling"], *second.values()}
    assert cluster.task(sweeps.jobs()[first["student"]]).state == "CANCELLED"
    assert cluster.queue == {}


def test_a_task_that_could_run_in_part_waits_for_the_end_alone(sweeps, cluster):
    """Students of two supervisors in one task: SLURM would cancel both where one supervisor fails."""
    sweeps.submit(sweeps.cell("w0"), sweeps.cell("w1"), pack_flops=1e30)
    jobs, found = sweeps.jobs(), waits(sweeps, cluster)
    one, other = sweeps.roles()
    assert jobs[one["student"]] == jobs[other["student"]]
    assert found[one["student"]] == f"afterany:{jobs[one['weak']]},afterany:{jobs[other['weak']]}"


def test_a_task_that_needs_one_stage_of_another_waits_for_the_end_alone(sweeps, cluster):
    """Both supervisors run in one task, which fails where either fails; the students do not care for each other's."""
    sweeps.submit(*grid(sweeps), pack_flops=1e30, name="first")
    (first, _), before = sweeps.roles("first"), sweeps.jobs()
    sweeps.submit(sweeps.cell(strong="s1"), name="second")
    (second,) = sweeps.roles("second")
    assert second["weak"] == first["weak"]
    assert waits(sweeps, cluster)[second["student"]] == f"afterany:{before[first['weak']]}"


def test_jobs_of_other_submissions_are_waited_for_and_not_submitted_again(sweeps, cluster, capsys):
    sweeps.submit(sweeps.cell(), name="first")
    before = sweeps.jobs()
    sweeps.submit(sweeps.cell(strong="s1"), name="second")
    (roles,) = sweeps.roles("second")
    assert sweeps.jobs()[roles["weak"]] == before[roles["weak"]]
    assert waits(sweeps, cluster)[roles["student"]] == f"afterok:{before[roles['weak']]}"
    assert len(cluster.queue) == 5
    assert "1 jobs of other submissions are waited for" in capsys.readouterr().out
    assert len(sweeps.run()) == 5


def test_finished_stages_are_never_named(sweeps, cluster):
    """SLURM forgets jobs that have ended, and takes a job that it does not know for one that went well."""
    sweeps.submit(sweeps.cell(), name="first")
    (first,) = sweeps.roles("first")
    job = sweeps.jobs()[first["weak"]]
    cluster.start(job)
    sweeps.finish(first["weak"])
    sweeps.submit(sweeps.cell(strong="s1"), name="second")
    (second,) = sweeps.roles("second")
    assert waits(sweeps, cluster)[second["student"]] == ""


def test_the_same_sweep_again_submits_nothing(sweeps, cluster, capsys):
    sweeps.submit(*grid(sweeps))
    queue = cluster.queue
    capsys.readouterr()
    sweeps.submit(*grid(sweeps))
    out = capsys.readouterr().out
    assert "6 in flight, 0 to run" in out
    assert "nothing to submit" in out
    assert cluster.queue == queue


def test_nothing_starts_before_slurm_knows_what_it_waits_for(sweeps, cluster):
    cluster.controller.eager = True
    sweeps.submit(*grid(sweeps))
    told = [call.stdin for call in cluster.calls("scontrol") if "update" in call.stdin]
    assert ["dependency=" in text for text in told] == [True, False]
    assert told[1] == "update jobid=101 starttime=now\nupdate jobid=102 starttime=now\nquit\n"
    jobs, queue = sweeps.jobs(), cluster.queue
    for roles in sweeps.roles():
        assert [queue[jobs[roles[role]]] for role in ("weak", "ceiling", "student")] == [
            "RUNNING",
            "RUNNING",
            "Dependency",
        ]


def test_a_chain_inside_one_array_is_told_from_its_end(sweeps, cluster):
    """SLURM refuses a chain of three as circular otherwise, as does the stand-in."""
    from w2s_sweep.methods.bootstrapping import Bootstrapping

    chain = Bootstrapping(chain=(sweeps.model("s1"),))
    same = {"gpus": 1, "memory_gb": 9, "minutes": 60}
    sweeps.submit(sweeps.cell(method=chain, weak="s1", strong="s0"), sweeps.cell("w0", "w1", method=chain), **same)
    depths = [task.dependency for task in cluster.controller.tasks]
    assert len({task.array for task in cluster.controller.tasks}) == 1
    assert any(cluster.task(text.partition(":")[2]).dependency for text in depths if text)
    assert len(sweeps.run()) == len(depths)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"stages": {"student": {"memory_gb": 9000}}}, "sbatch refused 2 tasks with 1 GPUs, 4 CPUs, 9000 GB"),
        ({"stages": {"ceiling": {"gpus": 9}}}, "sbatch refused 2 tasks with 9 GPUs"),
    ],
)
def test_a_refusal_leaves_nothing_behind(sweeps, cluster, settings, said):
    with pytest.raises(LaunchError, match=said) as error:
        sweeps.submit(*grid(sweeps), **settings)
    assert NODE in str(error.value)
    assert cluster.queue == {}
    assert len(cluster.controller.tasks) >= 2  # something had been taken before
    assert [record["state"] for record in sweeps.submissions()] == ["cancelled"]
    sweeps.submit(*grid(sweeps))
    assert len(sweeps.run()) == 6


@pytest.mark.parametrize("words", ["dependency=", "show config"])
def test_a_submission_that_slurm_breaks_off_leaves_nothing_behind(sweeps, cluster, words):
    cluster.fail(words, "Unexpected message received")
    with pytest.raises(LaunchError, match="Unexpected message received"):
        sweeps.submit(*grid(sweeps))
    assert cluster.queue == {}


def test_a_refusal_touches_no_other_submission(sweeps, cluster):
    sweeps.submit(sweeps.cell(), name="first")
    queue = cluster.queue
    with pytest.raises(LaunchError, match="9000 GB"):
        sweeps.submit(*grid(sweeps), name="second", stages={"student": {"memory_gb": 9000}})
    assert cluster.queue == queue


def test_resources_that_no_node_has_are_refused_at_once(sweeps, cluster):
    """Tasks on hold would be taken, and never start: they are submitted for later instead."""
    with pytest.raises(LaunchError, match="sbatch refused"):
        sweeps.submit(sweeps.cell(), gpus=1, memory_gb=9000)
    assert not cluster.controller.tasks


def test_a_sweep_is_recorded_once_its_stages_are_listed(sweeps):
    """Ended in between, a command leaves no stage that `w2s logs` would not find."""
    listed = sweeps.store.sweep("sweep") / "stages.jsonl"
    listed.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        sweeps.submit(sweeps.cell())
    assert sweeps.store.sweeps() == []
