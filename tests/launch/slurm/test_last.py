"""The last job of a sweep: it waits for the end of all others, well or not, and mirrors what there is."""

import subprocess
from pathlib import Path

import pytest

from w2s_sweep.tracking.wandb import Wandb


def last(cluster):
    """The tasks that mirror."""
    return [task for task in cluster.controller.tasks if task.name.startswith("w2s-push-")]


def test_it_waits_for_the_end_of_every_job_whether_they_fail_or_not(sweeps, cluster, capsys):
    sweeps.submit(sweeps.cell(seed=0), sweeps.cell(seed=1), tracker=Wandb())
    (task,) = last(cluster)
    assert task.dependency == "afterany:101:102", "both arrays, as a whole"
    assert f"job {task.array} mirrors the sweep to wandb" in capsys.readouterr().out
    assert (task.gpus, task.memory_mb) == (0, 4096)


def test_it_waits_for_the_jobs_of_another_sweep_that_has_its_stages(sweeps, cluster):
    sweeps.submit(sweeps.cell(seed=0), name="first")
    jobs = sweeps.jobs()
    sweeps.submit(sweeps.cell(seed=0), name="second", tracker=Wandb())
    (task,) = last(cluster)
    assert task.dependency == ":".join(["afterany", *sorted(jobs.values())])


def test_its_script_mirrors_with_the_code_that_the_sweep_was_submitted_with(sweeps, cluster):
    sweeps.submit(sweeps.cell(), tracker=Wandb(), setup=["module load cuda"], partition="gpu", python="/opt/python")
    text = (sweeps.store.sweep("sweep") / "jobs" / "last.sh").read_text()
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
    lines = text.splitlines()
    assert lines[-1] == f"/opt/python -m w2s_sweep.cli --store {sweeps.store.root} push sweep"
    assert "#SBATCH --partition=gpu" in lines
    assert lines.index("module load cuda") < len(lines) - 1
    (code,) = [line for line in lines if line.startswith("export PYTHONPATH=")]
    assert (Path(code.removeprefix("export PYTHONPATH=").partition("$")[0]) / "w2s_sweep" / "cli.py").is_file()


@pytest.mark.parametrize("settings", [{}, {"tracker": Wandb(), "wait": True}], ids=["no tracker", "somebody waits"])
def test_there_is_none_where_nothing_is_to_be_mirrored_or_the_submitter_does_it(sweeps, cluster, settings, monkeypatch):
    monkeypatch.setattr("w2s_sweep.launch.slurm.engine.follow", lambda job, seconds, submit: None)
    sweeps.submit(sweeps.cell(), **settings)
    assert last(cluster) == []


def test_a_refusal_of_it_leaves_the_sweep_on_its_way(sweeps, cluster, capsys):
    cluster.fail("sbatch", "Invalid qos specification", after=2)
    sweeps.submit(sweeps.cell(), tracker=Wandb())
    assert "`w2s push sweep` does" in capsys.readouterr().out
    assert sweeps.submissions()[0]["state"] == "submitted"
    assert last(cluster) == []
