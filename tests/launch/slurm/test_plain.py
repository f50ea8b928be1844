"""Sites that forbid changes of jobs: an array's dependency is an option of its sbatch, and nothing is held back."""

import pytest

from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.slurm.mend import mend


def grid(sweeps, seeds=2):
    return [sweeps.cell(seed=seed) for seed in range(seeds)]


def test_nothing_is_changed_after_sbatch_and_tasks_wait_for_the_same(sweeps, cluster):
    cluster.controller.fixed = True
    sweeps.submit(*grid(sweeps), plain=True)
    jobs = sweeps.jobs()
    for roles in sweeps.roles():
        assert cluster.task(jobs[roles["student"]]).dependency == f"afterok:{jobs[roles['weak']]}"
        assert cluster.queue[jobs[roles["weak"]]] == cluster.queue[jobs[roles["ceiling"]]] == "Resources"
    assert not [call for call in cluster.calls("scontrol") if "update" in str(call)]
    (record,) = sweeps.submissions()
    assert {t["job"]: t["dependency"] for t in record["tasks"]} == {
        task.job: task.dependency for task in cluster.controller.tasks
    }
    assert record["state"] == "submitted"
    assert len(sweeps.run()) == 6


def test_chains_are_submitted_from_their_beginning(sweeps, cluster):
    from w2s_sweep.methods.bootstrapping import Bootstrapping

    chain = Bootstrapping(chain=(sweeps.model("s1"),))
    same = {"gpus": 1, "memory_gb": 9, "minutes": 60, "plain": True}
    sweeps.submit(sweeps.cell(method=chain, weak="s1", strong="s0"), sweeps.cell("w0", "w1", method=chain), **same)
    assert len(sweeps.run()) == len(cluster.controller.tasks)


def test_a_failed_input_cancels_what_needs_it(sweeps, cluster):
    sweeps.submit(*grid(sweeps), plain=True)
    first, second = sweeps.roles()
    assert set(sweeps.run(broken=[first["weak"]])) == {first["ceiling"], *second.values()}
    assert cluster.queue == {}


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_site_that_forbids_changes_is_found_out(sweeps, cluster, capsys, seeds):
    cluster.controller.fixed = True
    sweeps.submit(*grid(sweeps, seeds))
    assert "hydra.launcher.plain=true does so at once" in capsys.readouterr().out
    assert len(cluster.queue) == 3 * seeds
    assert [record["state"] for record in sweeps.submissions()] == ["cancelled", "submitted"]
    assert len(sweeps.run()) == 3 * seeds


def test_a_release_that_is_forbidden_is_found_out_too(sweeps, cluster):
    """Where nothing depends on anything, nothing was refused before."""
    sweeps.submit(*grid(sweeps))
    (roles, _), before = sweeps.roles(), sweeps.run(most=1)
    cluster.controller.tasks.clear()
    cluster.controller.by_name.clear()
    sweeps.finish(*(set(roles.values()) - {roles["ceiling"], *before}))
    cluster.controller.fixed = True
    sweeps.submit(sweeps.cell(seed=0))
    assert "cancelled" in [record["state"] for record in sweeps.submissions()]
    assert list(cluster.queue.values()) == ["Resources"]


def test_a_submission_that_breaks_off_leaves_nothing(sweeps, cluster):
    cluster.fail("--dependency", "Unexpected message received")
    with pytest.raises(LaunchError, match="Unexpected message received"):
        sweeps.submit(*grid(sweeps), plain=True)
    assert cluster.queue == {}
    sweeps.submit(*grid(sweeps), plain=True)
    assert len(sweeps.run()) == 6


def test_tasks_of_a_submitter_that_died_are_cancelled_though_some_run(sweeps, cluster):
    cluster.controller.eager = True
    cluster.fail("--dependency", times=1)
    cluster.fail("squeue", times=1_000)
    with pytest.raises(LaunchError):
        sweeps.submit(*grid(sweeps), plain=True)
    assert set(cluster.queue.values()) == {"RUNNING"}
    cluster.come_back()
    assert mend(sweeps.store) == [f"{len(cluster.controller.tasks)} jobs were cancelled: their submission did not "
                                  "come to its end"]  # fmt: skip
    assert cluster.queue == {}


def test_a_task_that_may_not_be_let_go_is_cancelled_to_be_submitted_again(sweeps, cluster):
    sweeps.submit(*grid(sweeps), plain=True)
    cluster.controller.fixed = True
    key = sweeps.roles()[0]["ceiling"]
    cluster.task(sweeps.jobs()[key]).held = "launch failed requeued held"
    assert "1 jobs were cancelled" in mend(sweeps.store)[0]
    sweeps.submit(*grid(sweeps), plain=True)
    assert len(sweeps.run()) == 6
