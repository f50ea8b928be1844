"""Stages of one model are divided among as many tasks as the cluster could start now, or as a setting says."""

import dataclasses

import pytest

from w2s_sweep.launch.slurm.inventory import Node, read_nodes
from w2s_sweep.launch.slurm.limits import Partition
from w2s_sweep.launch.slurm.resources import Ask
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.launch.slurm.width import Division, division

MAIN = {"main": Partition(True, None, None, None)}
ASK = Ask(gpus=1, cpus=4, memory_gb=16, minutes=30)


def line(name="n1", state="IDLE", partitions="main,low", used=0, gpus=4, cpus=0, memory=0):
    """As SLURM 22.05 writes it."""
    return (
        f"NodeName={name} CPUAlloc={cpus} CPUEfctv=16 CPUTot=16 CPULoad=4.01 Gres=gpu:a100:{gpus}(S:0-1),nvme:9 "
        f"GresDrain=N/A GresUsed=gpu:a100:{used}(IDX:0),nvme:0 OS=Linux 6.1 #1 SMP  RealMemory=64000 "
        f"AllocMem={memory} State={state} Partitions={partitions}  CfgTRES=cpu=16,mem=62.50G"
    )


def node(partition, gpus=4):
    """One on which nothing runs."""
    return Node(frozenset({partition}), 64_000, 16, gpus, True, 16, 64_000, gpus)


def test_what_is_free_of_a_node(cluster):
    cluster.controller.nodes = [line(used=1, cpus=5, memory=1000)]
    assert read_nodes() == [Node(frozenset({"main", "low"}), 64_000, 16, 4, True, 11, 63_000, 3)]


@pytest.mark.parametrize(
    ("state", "takes"),
    [
        ("IDLE", True),
        ("MIXED", True),
        ("IDLE+CLOUD+POWERED_DOWN", True),
        ("ALLOCATED", False),
        ("IDLE+DRAIN", False),
        ("IDLE*", False),
        ("MIXED+PLANNED", False),
        ("DOWN", False),
    ],
)
def test_nodes_that_take_no_jobs_do_not_count(cluster, state, takes):
    cluster.controller.nodes = [line(state=state)]
    (node,) = read_nodes()
    assert (node.takes_jobs, node.room(ASK)) == (takes, 3 if takes else 0)


@pytest.mark.parametrize(
    ("ask", "room"),
    [
        (ASK, 3),
        (dataclasses.replace(ASK, gpus=2), 1),
        (dataclasses.replace(ASK, cpus=8), 2),
        (dataclasses.replace(ASK, memory_gb=32), 1),
        (dataclasses.replace(ASK, gpus=0, memory_gb=4), 4),
        (dataclasses.replace(ASK, memory_gb=100), 0),
    ],
)
def test_room_of_a_node_is_that_of_what_runs_out_first(ask, room):
    assert node("main", gpus=3).room(ask) == room


def test_only_nodes_of_the_partition_count_and_never_more_than_may_run():
    nodes = [node(name) for name in ("main", "main", "long")]
    free = Division(Settings(), nodes, frozenset({"main"})).free
    assert free(ASK) == 6
    assert free(dataclasses.replace(ASK, options=(("partition", "long"),))) == 3
    assert free(dataclasses.replace(ASK, options=(("partition", "main,long"),))) == 9
    assert Division(Settings(max_parallel=2), nodes, frozenset({"main"})).free(ASK) == 2


def test_where_slurm_does_not_show_nodes_nothing_is_divided(cluster):
    cluster.fail("show node")
    assert division(Settings(), MAIN, read_nodes).free(ASK) == 0
    assert read_nodes() == []


def students(sweeps):
    """Tasks with students, of the newest submission."""
    wanted = {roles["student"] for roles in sweeps.roles()}
    return [len(wanted.intersection(task["stages"])) for task in sweeps.submissions()[-1]["tasks"]]


def test_students_of_one_model_follow_the_free_width(sweeps, cluster, monkeypatch, capsys):
    monkeypatch.setattr("w2s_sweep.launch.slurm.width.WORTH_SECONDS", 0.0)
    cluster.controller.nodes = [line(gpus=2), line("n2", gpus=2, used=1), line("n3", state="IDLE+DRAIN")]
    grid = [sweeps.cell(seed=seed) for seed in range(6)]
    sweeps.submit(*grid, pack_flops=1e30)
    assert sorted(count for count in students(sweeps) if count) == [2, 2, 2]
    assert "divided among 3 tasks (for so many the cluster has room now)" in " ".join(capsys.readouterr().out.split())
    assert len(sweeps.run()) == 18


def test_the_width_may_be_said(sweeps, cluster, monkeypatch, capsys):
    monkeypatch.setattr("w2s_sweep.launch.slurm.width.WORTH_SECONDS", 0.0)
    sweeps.submit(*[sweeps.cell(seed=seed) for seed in range(4)], pack_flops=1e30, width=2)
    assert sorted(count for count in students(sweeps) if count) == [2, 2]
    assert "divided among 2 tasks (hydra.launcher.width)" in " ".join(capsys.readouterr().out.split())
    assert not any("node" in call.arguments for call in cluster.calls("scontrol"))


def test_small_stages_stay_together(sweeps, cluster):
    """Python, torch and the model would be loaded for less than a minute of work."""
    cluster.controller.nodes = [line()]
    sweeps.submit(*[sweeps.cell(seed=seed) for seed in range(3)], pack_flops=1e30)
    assert max(students(sweeps)) == 3
