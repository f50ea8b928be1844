"""Job arrays: one for each set of resources, cut at what the cluster takes, in scripts that are known word for word."""

import pickletools
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.launch.slurm.scripts import compare, submitted
from w2s_sweep.launch.slurm.arrays import group_packs
from w2s_sweep.launch.slurm.resources import Ask
from w2s_sweep.plan.packs import Pack
from w2s_sweep.store import Store

SEVERAL = range(3)
"""Seeds: 3 tasks for the supervisors, 6 for students and ceilings."""

EVERYTHING = {
    "partition": "gpu",
    "account": "physics",
    "qos": "long",
    "constraint": "a100&ib",
    "setup": ["module load cuda", "source ~/env/bin/activate"],
    "python": "singularity exec 'my image.sif' python",
    "max_parallel": 1,
    "stages_per_gpu": 3,
    "gpus": 0,
    "cpus": 7,
    "memory_gb": 11,
    "minutes": 61,
    "max_minutes": 600,
    "signal_seconds": 45,
    "time_retries": 3,
    "memory_retries": 1,
}


@given(st.lists(st.integers(1, 3), max_size=30), st.integers(1, 7))
def test_grouping_keeps_every_task_in_order_and_no_array_is_too_long(sizes, most):
    packs = [(Pack(f"pack-{i}", (), frozenset()), Ask(size, 1, 1, 1)) for i, size in enumerate(sizes)]
    arrays = group_packs(packs, most)
    assert all(1 <= len(chunk) <= most for _, chunk in arrays)
    for size in set(sizes):
        chunks = [chunk for ask, chunk in arrays if ask.gpus == size]
        assert [pack for chunk in chunks for pack in chunk] == [pack for pack, ask in packs if ask.gpus == size]
        assert len(chunks) == -(-sizes.count(size) // most)
    assert sum(len(chunk) for _, chunk in arrays) == len(packs)


def test_one_array_for_each_set_of_resources(sweeps):
    sweeps.submit(sweeps.cell(seed=0), sweeps.cell(seed=1))
    scripts = submitted(sweeps.store)
    compare(scripts["101"], "weak")
    compare(scripts["102"], "strong")
    assert len(scripts) == 2


def test_every_setting_is_in_the_script(sweeps):
    sweeps.submit(sweeps.cell(seed=0), sweeps.cell(seed=1), **EVERYTHING)
    (script,) = submitted(sweeps.store).values()
    compare(script, "everything")


def test_a_task_alone_is_no_array(sweeps):
    sweeps.submit(sweeps.cell())
    compare(submitted(sweeps.store)["101"], "alone")


def test_a_store_may_be_called_anything(sweeps, tmp_path, sources, cluster):
    odd = type(sweeps)(Store(tmp_path / "my store; it's $HOME"), sources, cluster)
    odd.submit(odd.cell())
    script = (odd.store.root / "sweeps/sweep/jobs/submitit/101_submission.sh").read_text()
    quoted = "/my store; it'\"'\"'s $HOME"
    assert script.count(quoted) == 7
    assert script.count("/my store; it") == 7
    assert len(odd.run()) == 3


@pytest.mark.parametrize("most", [1, 2, 4])
def test_the_longest_array_that_the_cluster_takes_is_not_exceeded(sweeps, cluster, most):
    cluster.controller.max_array = most
    sweeps.submit(*(sweeps.cell(seed=seed) for seed in SEVERAL))
    scripts = submitted(sweeps.store)
    assert len(scripts) == -(-3 // most) + -(-6 // most)
    assert len(cluster.queue) == 9
    assert len(sweeps.run()) == 9


def test_no_more_tasks_of_an_array_run_at_once_than_was_said(sweeps, cluster):
    cluster.controller.eager = True
    sweeps.submit(*(sweeps.cell(seed=seed) for seed in SEVERAL), max_parallel=2)
    running = [job for job, state in cluster.queue.items() if state == "RUNNING"]
    assert sorted(job.partition("_")[0] for job in running) == ["101"] * 2 + ["102"] * 2


def test_a_task_is_submitted_with_the_path_of_its_job_file_alone(sweeps):
    """What stands in a pickle is read as words here, not loaded."""
    sweeps.submit(sweeps.cell(), stages_per_gpu=3, gpu_memory_gb=200)
    folder = sweeps.store.sweep("sweep") / "jobs" / "submitit"
    (job,) = [job for job in sweeps.jobs().values() if "_" not in job]
    found = pickletools.genops((folder / f"{job}_submitted.pkl").read_bytes())
    words = [word for _, word, _ in found if word is not None]
    (pack,) = [task["pack"] for task in sweeps.submissions()[0]["tasks"] if task["job"] == job]
    start = words.index("function")
    path, beside = str(folder.parent / f"{pack}.json"), 2
    assert words[start + 1 : start + 6] == ["w2s_sweep.launch.slurm.job", "run_job", "args", path, beside]
    assert len(words) < 30


def test_only_their_owner_reads_job_files(sweeps):
    sweeps.submit(sweeps.cell())
    jobs = sweeps.store.sweep("sweep") / "jobs"
    folders = (jobs, jobs / "submitit", *(sweeps.store.root / "code").iterdir())
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in folders] == [0o700] * 3


def test_every_job_runs_the_pack_that_was_written_down_for_it(sweeps, cluster):
    cluster.controller.max_array = 2
    sweeps.submit(*(sweeps.cell(seed=seed) for seed in SEVERAL))
    tasks = sweeps.submissions()[0]["tasks"]
    assert len(tasks) == 9
    for task in tasks:
        assert [stage.key for stage in sweeps.stages_of(task["job"])] == task["stages"]
