"""What is recorded of a task, and shown in a plan, is what its script asks, whoever set it."""

import dataclasses

import pytest

from tests.launch.slurm.scripts import submitted
from tests.launch.slurm.test_options import head
from w2s_sweep.launch.slurm.asked import own_options, read_asked
from w2s_sweep.launch.slurm.resources import Ask


def numbers(gpus=2, cpus=4, memory_gb=8, minutes=30, **options):
    free = tuple(sorted((name.replace("_", "-"), value) for name, value in options.items()))
    return dataclasses.astuple(read_asked(gpus, cpus, memory_gb, minutes, free))


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({}, (2, 4, 8, 30)),
        ({"partition": "gpu", "exclusive": True}, (2, 4, 8, 30)),
        ({"mem": None, "time": None, "cpus_per_task": None, "gpus_per_node": None}, (None, None, None, None)),
        ({"gpus": 0, "gpus_per_node": None}, (0, 4, 8, 30)),
        ({"mem": "512M", "time": "2:30:00"}, (2, 4, 0.5, 150)),
        ({"mem": 2048, "time": "90:30"}, (2, 4, 2, 90.5)),
        ({"mem": "1T", "time": "1-12"}, (2, 4, 1024, 2160)),
        ({"mem": 0, "time": "UNLIMITED"}, (2, 4, None, None)),
        ({"mem": None, "mem_per_cpu": "3G", "cpus_per_task": 8, "time": "1-02:30"}, (2, 8, 24, 1590)),
        ({"mem": None, "mem_per_gpu": "{memory_gb}G", "time": 0}, (2, 4, 16, None)),
        ({"gres": "gpu:a100:4,shard:1"}, (4, 4, 8, 30)),
        ({"gres": "gpu:a100"}, (1, 4, 8, 30)),
        ({"gres": "nvme:9"}, (2, 4, 8, 30)),
        ({"gpus": "a100:3"}, (3, 4, 8, 30)),
    ],
)  # fmt: skip
def test_what_stands_in_place_of_what_was_derived_counts(options, asked):
    assert numbers(**options) == asked


def test_a_task_that_needs_no_gpu_asks_for_none():
    assert numbers(gpus=0, gres="gpu:a100:{gpus}")[0] == 0


def test_a_task_says_what_its_script_asks():
    ask = Ask(1, 4, 20, 45, (("mem", None), ("time", "2:00:00")))
    assert str(ask) == "1 GPUs, 4 CPUs, default memory, 120 minutes, mem=None, time=2:00:00"


@pytest.mark.parametrize(
    ("sbatch", "plan"),
    [
        ({}, "20 GB (default), 45 minutes (default)"),
        ({"mem": None, "time": 120}, "default memory ({by}), 120 minutes ({by})"),
    ],
)
def test_plan_record_and_script_agree(sweeps, capsys, sbatch, plan):
    sweeps.submit(sweeps.cell(), sbatch=sbatch, plan_only=True)
    assert plan.format(by="set by hydra.launcher.sbatch") in " ".join(capsys.readouterr().out.split())
    sweeps.submit(sweeps.cell(), sbatch=sbatch)
    scripts = {job: head(script) for job, script in submitted(sweeps.store).items()}
    for task in sweeps.submissions()[-1]["tasks"]:
        ask, said = task["ask"], scripts[task["job"].partition("_")[0]]
        own = own_options(ask["gpus"], ask["cpus"], ask["memory_gb"], ask["minutes"])
        assert {name: said.get(name) for name in own} == own | ({"mem": None} if sbatch else {})
        assert (ask["memory_gb"] is None) == bool(sbatch)
