"""What sbatch refuses is said once, with the setting that helps and what the cluster has."""

import pytest

from tests.launch.slurm.test_width import line
from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.slurm.refused import explain_refusal

PARTITION = "sbatch: error: invalid partition specified: gpuu\nsbatch: error: Batch job submission failed: Invalid"
NODES = "sbatch: error: Batch job submission failed: Requested node configuration is not available"


def test_a_partition_that_is_none_is_answered_with_those_there_are(cluster):
    cluster.controller.partitions["long"] = {}
    said = explain_refusal(PARTITION, "gpuu")
    assert said == " ".join(PARTITION.split()) + ". Partitions here: main, long. Set hydra.launcher.partition."


@pytest.mark.parametrize(
    ("partition", "most"),
    [
        (None, "partition main have up to 62 GB, 16 CPUs and 4 GPUs"),
        ("long,low", "partition long, low have up to 62 GB, 16 CPUs and 8 GPUs"),
    ],
)
def test_what_no_node_has_is_answered_with_what_they_have(cluster, partition, most):
    cluster.controller.nodes = [line(state="ALLOCATED"), line("n2", partitions="long", gpus=8)]
    assert f"Nodes of {most}. Set hydra.launcher.memory_gb, cpus, gpus" in explain_refusal(NODES, partition)


@pytest.mark.parametrize(
    ("complaint", "setting"),
    [
        ("Batch job submission failed: Requested reservation is invalid", "hydra.launcher.sbatch.reservation"),
        ("Invalid account or account/partition combination specified", "hydra.launcher.account or qos"),
        ("Invalid feature specification", "hydra.launcher.constraint"),
        ("Requested time limit is invalid (missing or exceeds some limit)", "hydra.launcher.max_minutes"),
        ("sbatch: unrecognized option '--reservaton=x'\nTry \"sbatch --help\" for more", "`man sbatch`, without"),
        (PARTITION, "hydra.launcher.partition"),
        (NODES, "hydra.launcher.memory_gb"),
    ],
)
def test_each_refusal_names_a_setting_without_a_controller_too(cluster, complaint, setting):
    cluster.go_away()
    said = explain_refusal(complaint)
    assert setting in said
    assert "--help" not in said


def test_words_that_nobody_knows_stay_as_they_are():
    assert explain_refusal("sbatch: error: go away\nsbatch: error: go away\n") == "sbatch: error: go away"


def test_a_submission_that_is_refused_says_so_once(sweeps, cluster, capfd):
    cluster.fail("sbatch", error=PARTITION)
    with pytest.raises(LaunchError, match=r"partition=gpuu: sbatch: .*Partitions here: main\. Set hydra"):
        sweeps.submit(sweeps.cell(), partition="gpuu")
    assert "invalid partition" not in capfd.readouterr().err
