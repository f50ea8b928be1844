"""Amounts are read as sbatch reads them, wherever SLURM or a user writes them."""

import pytest

from w2s_sweep.launch.slurm.asked import read_asked
from w2s_sweep.launch.slurm.inventory import read_nodes
from w2s_sweep.launch.slurm.limits import read_partitions


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("30", 30), ("45:00", 45), ("02:30:00", 150), ("1-12", 2160), ("1-02:30", 1590), ("1-02:30:00", 1590),
        ("UNLIMITED", None), ("INVALID", None), ("0", None), ("-5", None), ("1:2:3:4", None), ("", None),
    ],
)  # fmt: skip
def test_a_time_is_the_same_in_a_partition_and_in_an_option(cluster, text, minutes):
    cluster.controller.partitions = {"main": {"MaxTime": text}}
    assert read_partitions()["main"].minutes == minutes
    assert read_asked(1, 2, 4, 99, (("time", text),)).minutes == minutes


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("gpu", 1), ("gpu:4", 4), ("gpu:a100", 1), ("gpu:a100:0", 0), ("gpu:a100:4,shard:9", 4),
        ("gpu:a100:4(S:0-1),nvme:1", 4), ("gpu:a100:2(IDX:0,3)", 2), ("gpu:a100(S:0)", 1),
        ("gpu:a100,gpu:v100:2", 3),
    ],
)  # fmt: skip
def test_gpus_are_as_many_on_a_node_as_in_an_option(cluster, text, gpus):
    cluster.controller.nodes = [f"NodeName=n1 CPUTot=8 RealMemory=9 State=IDLE Partitions=main Gres={text}"]
    assert [node.gpus for node in read_nodes()] == [gpus]
    assert read_asked(9, 2, 4, 99, (("gres", text),)).gpus == gpus
    bare = ",".join(part.removeprefix("gpu:") for part in text.split(",") if part.startswith("gpu:"))
    if bare and "(" not in text:
        assert read_asked(9, 2, 4, 99, (("gpus", bare),)).gpus == gpus
