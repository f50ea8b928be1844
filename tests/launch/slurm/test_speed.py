"""Time limits that follow what finished stages took."""

import re

import pytest

from tests.launch.slurm.sweeps import Sweeps
from w2s_sweep.cli import main as w2s
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.launch.slurm.speed import learn_time
from w2s_sweep.results.usage import usage_of, usage_of_tasks
from w2s_sweep.store.files import write_json


def finish(sweeps: Sweeps, key: str, seconds: float, device: str = "cuda", **memory: float) -> None:
    """A stage that was interrupted in the middle."""
    with sweeps.store.attempt(key) as out:
        times = {"seconds": seconds / 2, "seconds of all runs": seconds}
        write_json(out / "summary.json", times | {"device": device, "GPUs": 1} | memory)


def done_stages(sweeps, seconds, count=3, **more):
    """Stages of one cell that took `seconds` times their estimate at 100 TFLOP/s."""
    sweeps.submit(sweeps.cell())
    stages = [stage for job in dict.fromkeys(sweeps.jobs().values()) for stage in sweeps.stages_of(job)][:count]
    for stage in stages:
        finish(sweeps, stage.key, seconds * stage.cost.flops / 1e14, **more)
    return stages


def test_a_sweep_that_has_ended_says_what_it_asked_for_and_used(sweeps, cluster, capsys):
    sweeps.submit(sweeps.cell())
    (roles,) = sweeps.roles()
    record = sweeps.store.read_sweep("sweep")
    assert usage_of_tasks(sweeps.store, record) is None
    for role, minutes in (("weak", 3), ("student", 6), ("ceiling", 9)):
        memory = {"peak memory GB": float(minutes), "planned GB": 10.0, "peak RSS GB": minutes / 2}
        finish(sweeps, roles[role], 60.0 * minutes, **memory)
        cluster.controller.tasks.clear()
    rows = [row for row in usage_of(sweeps.store, record) if row.tasks]
    assert [(row.work, row.tasks, row.stages) for row in rows] == [(role, 1, 1) for role in sorted(roles)]
    assert [(row.asked_hours, row.used_hours, row.used_gb) for row in rows] == [
        pytest.approx((0.75, minutes / 60, minutes / 2)) for minutes in (9, 6, 3)
    ]
    capsys.readouterr()
    assert w2s(["--store", str(sweeps.store.root), "status", "sweep"]) == 0
    assert (
        "finished tasks asked for 2.2 hours and used 0.3; 2.2 and 0.3 hours of a GPU; 20 GB of memory at first, and "
        "a stage held 4.5 at most; of one GPU 9.0 of 10.0 GB that were planned, at most"
    ) in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("times", "factor"), [(1.0, 1.0), (2.5, 2.5), (100.0, 4.0), (0.001, 1 / 3)])
def test_limits_follow_what_stages_took_within_bounds(sweeps, monkeypatch, times, factor):
    monkeypatch.setattr("w2s_sweep.launch.slurm.speed.SHORTEST", 0.0)
    settings, said = learn_time(sweeps.store, done_stages(sweeps, times), Settings())
    assert settings.gpu_tflops == pytest.approx(100.0 / factor)
    assert said.startswith("time limits: 3 finished stages took")


@pytest.mark.parametrize("less", [{"count": 2}, {"device": "cpu"}, {"students at once": 4}])
def test_few_stages_and_those_of_a_cpu_or_beside_others_teach_nothing(sweeps, monkeypatch, less):
    monkeypatch.setattr("w2s_sweep.launch.slurm.speed.SHORTEST", 0.0)
    assert learn_time(sweeps.store, done_stages(sweeps, 2.0, **less), Settings()) == (Settings(), "")


def test_short_stages_teach_nothing(sweeps):
    """Loading takes most of their time."""
    assert learn_time(sweeps.store, done_stages(sweeps, 2.0), Settings()) == (Settings(), "")


def test_the_next_submission_has_learned(sweeps, cluster, monkeypatch, capsys):
    monkeypatch.setattr("w2s_sweep.launch.slurm.speed.SHORTEST", 0.0)
    done_stages(sweeps, 3.0)
    sweeps.submit(sweeps.cell(seed=0), sweeps.cell(seed=1))
    assert "3 finished stages took 3 times the estimate" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["plan_only", "dry_run"])
def test_a_plan_shows_what_a_submission_would_ask_for_after_it_has_learned(sweeps, cluster, monkeypatch, capsys, how):
    monkeypatch.setattr("w2s_sweep.launch.slurm.speed.SHORTEST", 0.0)
    done_stages(sweeps, 4.0)
    cells, slow = [sweeps.cell(seed=0), sweeps.cell(strong="s1", seed=1)], {"gpu_tflops": 1e-9, "max_minutes": 10**9}
    sweeps.submit(*cells, **{how: True}, **slow)
    shown = capsys.readouterr().out
    assert "3 finished stages took" in shown
    sweeps.submit(*cells, **slow)
    asked = {task["ask"]["minutes"] for task in sweeps.submissions()[-1]["tasks"]}
    assert {int(minutes) for minutes in re.findall(r"a task each: .* (\d+) minutes", shown)} == asked
