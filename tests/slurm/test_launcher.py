"""The slurm launcher on a real SLURM: the same stores as the local one, each stage once, failures that stay local."""

import csv
import json
import re
import stat

import pytest

from tests.command import launch, sweep_record, trained
from tests.slurm.launching import (
    FAST,
    ONE_EACH,
    SMALL,
    WAIT,
    accounted,
    finish,
    paused,
    start,
    starts,
    submissions,
    sweep_folder,
)
from tests.slurm.processes import wait_until
from w2s_sweep.cli import main as w2s

SECRET = "0123456789abcdef-not-a-real-key"
GOOD = "label_words=[' bad',' good']"
NOPE = "label_words=[' nope',' nope']"
BAD = ["finetune.head_init=label_words", f"weak.{GOOD}", f"+strong.{GOOD},[' nope',' nope']"]
"""Two cells; student and ceiling of the second raise an error: two words of one token tell no classes apart."""


def table(store):
    """Rows of the table, but for the command that made them: it names the store and the launcher."""
    with (sweep_folder(store) / "table.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "overrides"} for row in csv.DictReader(file)]


@pytest.fixture(autouse=True)
def _here(slurm, monkeypatch):
    for name, value in slurm.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WANDB_API_KEY", SECRET)


@pytest.fixture(scope="module")
def grid(slurm, tmp_path_factory, tiny_models, tiny_task):
    """8 cells, run by the local launcher into one store and by the slurm launcher into another."""
    folder = tmp_path_factory.mktemp("8 cells")
    cells = ["loss=xent,confidence", "seed=0,1", "weak.keep_layers=1,null"]
    argv = [*tiny_models, *tiny_task, *FAST, *cells]
    here, there = folder / "local", folder / "slurm"
    status, _, err = launch("-m", f"store='{here}'", *argv)
    assert status == 0, err
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            **slurm.env(),
            "WANDB_API_KEY": SECRET,
            "SLURM_MEM_PER_CPU": "77",
            "SLURM_NTASKS": "9",
        }.items():
            patch.setenv(name, value)
        status, out, err = launch("-m", f"store='{there}'", *argv, *SMALL, WAIT)
    assert status == 0, err
    return here, there, out


def test_local_and_slurm_give_the_same_store(grid):
    here, there, out = grid
    assert "8 of 8 cells" in out
    assert trained(here) == trained(there)
    assert {p.name for p in (here / "stages").iterdir()} == {p.name for p in (there / "stages").iterdir()}
    assert table(here) == table(there)


def test_one_array_for_one_set_of_resources_and_every_stage_once(grid):
    _, there, out = grid
    (record,) = submissions(there)
    assert record["arrays"] == 1
    assert len(list((sweep_folder(there) / "jobs" / "submitit").glob("*submission.sh"))) == 1
    assert set(starts(there).values()) == {1}
    assert "1 arrays" in out
    assert "wait for other tasks" in out


def test_job_files_are_private_and_hold_no_secret(grid):
    _, there, _ = grid
    for folder in (
        sweep_folder(there) / "jobs",
        sweep_folder(there) / "jobs" / "submitit",
        *(there / "code").iterdir(),
    ):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [path for path in there.rglob("*") if path.is_file()]
    assert len(files) > 50
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    pickles = list(there.rglob("*_submitted.pkl"))
    assert pickles
    assert all(path.stat().st_size < 500 for path in pickles)


def test_sweeps_that_start_at_once_share_their_stages(slurm, tmp_path, tiny_models, tiny_task):
    store = tmp_path / "store"
    common = ["-m", f"store={store}", *tiny_models, *tiny_task, *FAST, *SMALL, ONE_EACH]
    with paused(slurm):  # else the first may have ended before the second looks
        ends = [finish(p) for p in [start(slurm, *common, f"seed={seeds}") for seeds in ("0,1", "1,2")]]
    assert [status for status, _ in ends] == [0, 0], ends
    tasks = sorted(int(re.findall(r"(\d+) tasks:", out)[0]) for _, out in ends)
    assert tasks == [3, 6]
    slurm.wait_idle()
    assert len(trained(store)) == 9
    assert starts(store) == dict.fromkeys(trained(store), 1)


def test_a_failing_cell_fails_alone_and_slurm_says_so(slurm, tmp_path, tiny_models, tiny_task, capsys):
    store = tmp_path / "store"
    status, _, err = launch("-m", f"store={store}", *tiny_models, *tiny_task, *FAST, *BAD, *SMALL, WAIT, ONE_EACH)
    assert status == 1
    assert "1 of 2 cells failed" in err
    assert "Traceback" not in err
    bad = set(sweep_record(store)["cells"][1]["roles"].values()) - set(
        sweep_record(store)["cells"][0]["roles"].values()
    )
    rows = accounted(slurm, store)
    assert {rows[key] for key in bad} == {("FAILED", "1:0")}
    assert {row for key, row in rows.items() if key not in bad} == {("COMPLETED", "0:0")}
    assert w2s(["--store", str(store), "status"]) == 0
    shown = capsys.readouterr().out
    assert "4 done, 2 failed" in shown
    assert "' nope'" in shown
    assert w2s(["--store", str(store), "logs", min(bad)]) == 0
    assert "nope" in capsys.readouterr().out


def test_what_needs_a_failed_stage_is_cancelled_not_lost(slurm, tmp_path, tiny_models, tiny_task, capsys):
    store = tmp_path / "store"
    bad = ["finetune.head_init=label_words", f"weak.{NOPE}", f"strong.{GOOD}"]
    assert launch(f"store={store}", *tiny_models, *tiny_task, *FAST, *bad, *SMALL, WAIT, ONE_EACH)[0] == 1
    roles = sweep_record(store)["cells"][0]["roles"]
    rows = accounted(slurm, store)
    assert rows[roles["weak"]][0] == "FAILED"
    assert rows[roles["student"]][0] == "CANCELLED"
    assert rows[roles["ceiling"]][0] == "COMPLETED"
    w2s(["--store", str(store), "status"])
    shown = capsys.readouterr().out
    assert "2 done, 1 waiting, 1 failed" in shown
    assert "which is failed" in " ".join(shown.split())


def test_without_wait_it_returns_and_status_follows_to_the_end(tmp_path, tiny_models, tiny_task, capsys):
    store = tmp_path / "store"
    status, out, err = launch(f"store={store}", *tiny_models, *tiny_task, *FAST, *SMALL)
    assert status == 0, err
    assert "submitted" in out
    name = sweep_record(store)["name"]
    assert name in out
    assert not (store / "sweeps" / name / "report.html").exists()
    assert w2s(["--store", str(store), "status", name, "--watch", "0.5"]) == 0
    assert f"{name}: 4 done" in capsys.readouterr().out
    assert w2s(["--store", str(store), "report", name]) == 0
    assert (store / "sweeps" / name / "report.html").is_file()
    status, out, _ = launch(f"store={store}", *tiny_models, *tiny_task, *FAST, *SMALL)
    assert status == 0
    assert "nothing to submit" in out


def test_several_stages_at_once_in_one_task(tmp_path, tiny_models, tiny_task):
    store = tmp_path / "store"
    argv = ["-m", f"store={store}", *tiny_models, *tiny_task, *FAST, *SMALL, WAIT, "seed=0,1"]
    status, _, err = launch(*argv, "hydra.launcher.stages_per_gpu=2")
    assert status == 0, err
    assert len(trained(store)) == 6
    assert set(starts(store).values()) == {1}


@pytest.mark.extensive
def test_students_of_one_model_are_divided_among_the_tasks_that_can_start(
    slurm, tmp_path, tiny_models, tiny_task, monkeypatch
):
    monkeypatch.setattr("w2s_sweep.launch.slurm.width.WORTH_SECONDS", 0.0)  # these stages take a second
    slurm.wait_idle()
    store = tmp_path / "store"
    argv = ["-m", f"store={store}", *tiny_models, *tiny_task, *FAST, *SMALL, WAIT, "seed=0,1", "loss=xent,confidence"]
    status, out, err = launch(*argv)
    assert status == 0, err
    assert "divided among 2 tasks (for so many the cluster has room now)" in out
    students = {cell["roles"]["student"] for cell in sweep_record(store)["cells"]}
    tasks = {task["job"]: students & set(task["stages"]) for task in submissions(store)[0]["tasks"]}
    having = [job for job, own in tasks.items() if own]
    assert sorted(len(tasks[job]) for job in having) == [2, 2]
    assert set(starts(store).values()) == {1}
    (first, second) = (times_of(slurm, job) for job in having)
    assert max(first[0], second[0]) < min(first[1], second[1]), "they ran one after another"


def times_of(cluster, job):
    """When a job began and ended, as accounting knows it."""

    def row():
        return cluster.run("sacct", "-nXP", "--format=Start,End", "-j", job).split("|")

    wait_until(lambda: len(row()) == 2 and row()[1].startswith("2"), 30, "accounting")
    return row()


@pytest.mark.extensive
def test_without_accounting(slurm_without_accounting, tmp_path, tiny_models, tiny_task, monkeypatch, capsys):
    for name, value in slurm_without_accounting.env().items():
        monkeypatch.setenv(name, value)
    store = tmp_path / "store"
    status, _, err = launch("-m", f"store={store}", *tiny_models, *tiny_task, *FAST, *BAD, *SMALL, WAIT, ONE_EACH)
    assert status == 1
    assert "1 of 2 cells failed" in err
    assert w2s(["--store", str(store), "status"]) == 0
    assert "4 done, 2 failed" in capsys.readouterr().out


def test_a_task_that_was_killed_is_lost_and_says_how(
    slurm_without_accounting, tmp_path, tiny_models, tiny_task, monkeypatch, capsys
):
    for name, value in slurm_without_accounting.env().items():
        monkeypatch.setenv(name, value)
    store = tmp_path / "store"
    python = """hydra.launcher.python="sh -c 'kill -9 $$'\""""
    argv = [f"store={store}", *tiny_models, *tiny_task, *FAST, *SMALL, WAIT, python, "hydra.launcher.memory_retries=0"]
    assert launch(*argv)[0] == 1
    w2s(["--store", str(store), "status"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "2 lost" in shown
    assert "memory runs out" in shown


def test_refusals_of_the_cluster_leave_nothing_behind(slurm, tmp_path, tiny_models, tiny_task):
    store = tmp_path / "store"
    argv = ["-m", f"store={store}", *tiny_models, *tiny_task, *FAST, *SMALL, "seed=0,1", ONE_EACH]
    status, _, err = launch(*argv, "hydra.launcher.stages.student.memory_gb=9000")
    assert status == 1
    assert "sbatch refused 2 tasks" in err
    assert "9000 GB" in err
    assert not slurm.run("squeue", "--noheader", "--format=%j").strip()
    status, _, err = launch(*argv, "hydra.launcher.max_parallel=0", "hydra.launcher.stages.weak.cpus=two")
    assert status == 1
    assert "hydra.launcher.max_parallel: got 0" in err
    assert "hydra.launcher.stages.weak.cpus: got 'two'" in err


def test_the_shell_decides_nothing_and_jobs_say_what_they_do(slurm, tmp_path, tiny_models, tiny_task, monkeypatch):
    for name, value in {"JOB_NAME": "mine", "WAIT": "1", "PARTITION": "nosuch", "TIMELIMIT": "1"}.items():
        monkeypatch.setenv(f"SBATCH_{name}", value)
    free = ["hydra.launcher.partition=main", "hydra.launcher.sbatch={comment: 'a b', mem: null, nice: 7}"]
    status, out, err = launch(f"store={tmp_path}", *tiny_models, *tiny_task, *FAST, *SMALL, WAIT, *free)
    assert status == 0, err
    assert "SBATCH_WAIT=1 of the environment: not used" in out
    (record,) = submissions(tmp_path)
    assert record["cluster"] == "local"
    said = [json.loads(path.read_text()) for path in (tmp_path / "queued" / "jobs").iterdir()]
    assert {one["state"] for one in said} == {"ended"}
    assert {one["cluster"] for one in said} == {"local"}
    assert {one["job"] for one in said} == {task["job"] for task in record["tasks"]}
    shown = slurm.scontrol("show", "job", record["tasks"][0]["job"])
    assert "Partition=main" in shown
    assert "Comment=a b" in shown
