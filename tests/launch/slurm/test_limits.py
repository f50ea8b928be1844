"""What a partition gives at most: longer tasks are cut into runs, what no node gives is refused before sbatch."""

import re
from dataclasses import replace

import pytest

from tests.launch.slurm.scripts import submitted
from w2s_sweep.errors import ConfigError
from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.inventory import read_nodes
from w2s_sweep.launch.slurm.limits import Partition, fit, look_at_nodes, read_partitions, say_clipped
from w2s_sweep.launch.slurm.resources import Ask
from w2s_sweep.plan.packs import Pack

PACK = Pack("pack-1", (), frozenset())
HOUR, DAY = Partition(True, 60, 64_000, 8), Partition(False, 1440, None, None)
THERE = {"main": HOUR, "long": DAY}


def ask(minutes=30, memory_gb=4, cpus=2, **options):
    return Ask(1, cpus, memory_gb, minutes, tuple(sorted(options.items())))


@pytest.mark.parametrize(
    ("wanted", "minutes"),
    [
        (ask(90), 60),
        (ask(30), 30),
        (ask(90, partition="long"), 90),
        (ask(90, partition="main,long"), 90),
        (ask(2000, partition="main,long"), 1440),
        (ask(90, partition="nope"), 90),
        (ask(90, time="2:00:00"), 90),
    ],
)
def test_time_is_cut_at_what_the_partition_gives(wanted, minutes):
    ((pack, fitted),) = fit([(PACK, wanted)], THERE)
    assert (pack, fitted.minutes) == (PACK, minutes)


def test_what_no_node_of_the_partition_gives_is_refused_at_once():
    with pytest.raises(ConfigError) as error:
        fit([(PACK, ask(memory_gb=63, cpus=9)), (PACK, ask(memory_gb=900, partition="long"))], THERE)
    first, second = error.value.problems
    assert first == (
        "hydra.launcher.memory_gb: tasks ask for 63, and partition main gives at most 62 a node. Set "
        "hydra.launcher.memory_gb, or a partition that gives more (hydra.launcher.partition)."
    )
    assert second.startswith("hydra.launcher.cpus: tasks ask for 9, and partition main gives at most 8 a node.")


@pytest.mark.parametrize(
    ("wanted", "least", "asked"),
    [(90, 40, 62), (50, 40, 50), (90, 62, 62), (90, 70, None)],
    ids=["the margin is cut", "it fits", "to what was used", "what was used is too much"],
)
def test_a_margin_on_memory_that_was_learned_is_cut_before_anything_is_refused(wanted, least, asked):
    learned = replace(ask(memory_gb=wanted), least_gb=least)
    if asked is None:
        with pytest.raises(ConfigError, match="tasks ask for 70, and partition main gives at most 62 a node"):
            fit([(PACK, learned)], THERE)
        return
    after = fit([(PACK, learned)], THERE)
    assert after == [(PACK, replace(ask(memory_gb=asked), most_minutes=60))]
    told = [f"memory: {wanted} GB, with the margin on what finished stages used, are more than the partition gives"]
    assert [line.partition(";")[0] for line in say_clipped([(PACK, learned)], after)] == told * (asked != wanted)


def test_the_largest_node_cuts_the_margin_too_where_the_partition_has_no_limit(cluster):
    """Node 1 has 62 GB, of which 2 are SLURM's own."""
    said = "NodeName=n{} Gres=gpu:1 RealMemory={} MemSpecLimit={} State=IDLE Partitions={}"
    cluster.controller.nodes = [said.format(1, 64_000, 2048, "big"), said.format(2, 900_000, 0, "other")]
    there = {"big": Partition(True, None, None, None), "other": Partition(False, None, None, None)}
    learned = [(PACK, replace(ask(memory_gb=90), least_gb=40))]
    assert fit(learned, look_at_nodes(there, learned, read_nodes)) == [(PACK, ask(memory_gb=60))]
    assert fit(learned, look_at_nodes(there, [(PACK, ask())], read_nodes)) == [(PACK, ask(memory_gb=90))]
    cluster.controller.nodes = []
    assert fit(learned, look_at_nodes(there, learned, read_nodes)) == [(PACK, ask(memory_gb=90))]


@pytest.mark.parametrize(("gpus", "most"), [(0, 878), (1, 250), (4, 62), (8, 900)])
def test_the_largest_node_is_one_with_as_many_gpus(cluster, gpus, most):
    """Where no node says that it has so many, SLURM itself has to know."""
    said = "NodeName=n{} Gres={} RealMemory={} State=ALLOCATED Partitions=big"
    cluster.controller.nodes = [
        said.format(1, "(null)", 900_000),
        said.format(2, "gpu:a100:2(S:0-1)", 256_000),
        said.format(3, "gpu:a100:4", 64_000),
    ]
    wanted = [(PACK, replace(ask(memory_gb=900), gpus=gpus, least_gb=4))]
    there = look_at_nodes({"big": Partition(True, None, None, None)}, wanted, read_nodes)
    assert [one.memory_gb for _, one in fit(wanted, there)] == [most]


def test_an_option_of_sbatch_in_its_place_is_left_to_sbatch():
    free = ask(memory_gb=900, mem=None)
    assert fit([(PACK, free)], THERE) == [(PACK, Ask(1, 2, 900, 30, (("mem", None),), 60))]


def test_a_submission_asks_for_what_there_is(sweeps, cluster, capsys):
    cluster.controller.partitions = {
        "main": {"Default": "YES", "MaxTime": "00:40:00"},
        "big": {"MaxTime": "2-00:00:00"},
    }
    assert read_partitions() == {"main": Partition(True, 40, None, None), "big": Partition(False, 2880, None, None)}
    sweeps.submit(sweeps.cell(), stages={"ceiling": {"partition": "big", "minutes": 2000}})
    assert "time: 45 minutes are more than the partition gives; tasks get 40" in capsys.readouterr().out
    minutes = {key: cluster.task(job).minutes for key, job in sweeps.jobs().items()}
    (roles,) = sweeps.roles()
    assert [minutes[roles[role]] for role in ("weak", "student", "ceiling")] == [40, 40, 2000]
    # A task that runs out of time is given no more than that either (requeue.sh).
    assert all(" 40 20 2 90" in text or " 1440 20 2 90" in text for text in submitted(sweeps.store).values())


def test_a_refusal_submits_nothing(sweeps, cluster):
    cluster.controller.partitions["main"] |= {"MaxMemPerNode": "8000"}
    with pytest.raises(ConfigError, match="partition main gives at most 7 a node"):
        sweeps.submit(sweeps.cell())
    assert not cluster.calls("sbatch")


@pytest.fixture
def planned(sweeps, cluster, capsys):
    """What a plan prints of the limits; nothing is submitted."""

    def plan(how="plan_only", **settings):
        before = len(cluster.calls("sbatch"))
        sweeps.submit(sweeps.cell(seed=0), sweeps.cell(seed=1), **{how: True}, **settings)
        assert len(cluster.calls("sbatch")) == before
        return " ".join(" ".join(capsys.readouterr()).split())

    return plan


@pytest.mark.parametrize("how", ["plan_only", "dry_run"])
def test_a_plan_says_what_partitions_would_make_of_it(planned, cluster, how):
    assert "partition gives" not in planned(how)
    cluster.controller.partitions["main"] |= {"MaxTime": "00:40:00"}
    told = planned(how)
    assert "time: 45 minutes are more than the partition gives; tasks get 40" in told
    assert set(re.findall(r"--time=(\d+)", told)) == ({"40"} if how == "dry_run" else set())
    cluster.controller.partitions["main"] |= {"MaxMemPerNode": "8000"}
    assert "a submission is refused: hydra.launcher.memory_gb: tasks ask for" in planned(how)


def test_a_plan_says_that_the_time_of_a_task_with_many_stages_is_cut(planned, cluster):
    """Each of them alone would have it."""
    slow = {"gpu_tflops": 1e-9, "max_minutes": 10**15}
    alone = max(map(int, re.findall(r"(\d+) minutes \(", planned(**slow))))
    cluster.controller.partitions["main"] |= {"MaxTime": f"00:{alone}:00"}
    assert "more than the partition gives" not in planned(**slow)
    assert f"minutes are more than the partition gives; tasks get {alone} " in planned(**slow, pack_flops=1e18)


def test_a_plan_names_partitions_where_one_is_misspelt(planned):
    assert "hydra.launcher.partition: SLURM shows no mian here. Partitions: main." in planned(partition="main,mian")


@pytest.mark.parametrize("program", ["squeue", "scontrol"])
def test_a_plan_waits_for_no_queue(sweeps, planned, cluster, monkeypatch, program):
    """Where something was submitted from the store, SLURM is asked what is in flight, and whether it hides jobs."""
    sweeps.submit(sweeps.cell())
    cluster.install(program, "#!/bin/sh\nexec sleep 2\n")
    monkeypatch.setattr(commands, "PATIENCE_SECONDS", 0.1)
    told = planned()
    assert f"what is queued is not known, SLURM does not answer: {program}: no answer in 0.1 s" in told
    assert "asks of" in told


@pytest.mark.parametrize("controller", ["away", "hung", "no SLURM"])
def test_a_plan_does_without_a_controller(planned, cluster, monkeypatch, controller):
    monkeypatch.setattr(commands, "PATIENCE_SECONDS", 0.1)
    said = "limits of partitions: SLURM does not show them now"
    if controller == "away":
        cluster.go_away()
    elif controller == "hung":
        cluster.install("scontrol", "#!/bin/sh\nexec sleep 60\n")
    else:
        monkeypatch.setattr(commands, "available", lambda: False)
    assert (said in planned()) == (controller != "no SLURM")
