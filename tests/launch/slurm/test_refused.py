"""What sbatch refuses is said once, with the setting that helps and what the cluster has."""

import pytest

from tests.launch.slurm.test_width import line
from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.slurm.refused import explain_refusal
from w2s_sweep.launch.slurm.waves import too_many

PARTITION = "sbatch: error: invalid partition specified: gpuu\nsbatch: error: Batch job submission failed: Invalid"
POLICY = (
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size "
    "and/or time limits)"
)
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
        ("Invalid time limit specification", "hydra.launcher.max_minutes"),
        ("CPU count per node can not be satisfied", "hydra.launcher.memory_gb, cpus"),
        ("Invalid generic resource (gres) specification", "hydra.launcher.gpus; sbatch.gres names a type"),
        (PARTITION, "hydra.launcher.partition"),
        (NODES, "hydra.launcher.memory_gb"),
    ],
)
def test_each_refusal_names_a_setting_without_a_controller_too(cluster, complaint, setting):
    cluster.go_away()
    said = explain_refusal(complaint)
    assert setting in said
    assert "--help" not in said


@pytest.mark.parametrize(
    ("limit", "advice"),
    [
        ("QOSMaxSubmitJobPerUserLimit", "The limit is QOSMaxSubmitJobPerUserLimit: set hydra.launcher.max_submit, or"),
        ("QOSMaxMemoryPerJob", "The limit is QOSMaxMemoryPerJob: set hydra.launcher.memory_gb, or"),
        ("QOSMinGRES", "The limit is QOSMinGRES: set hydra.launcher.gpus, or"),
        ("AssocMaxCpuPerJobLimit", "The limit is AssocMaxCpuPerJobLimit: set hydra.launcher.cpus, or"),
        (
            "QOSMaxWallDurationPerJobLimit",
            "QOSMaxWallDurationPerJobLimit: set hydra.launcher.max_minutes or minutes, or",
        ),
        ("MaxSubmitJobsPerAccount", "The limit is MaxSubmitJobsPerAccount: set hydra.launcher.max_submit, or"),
        ("MaxMemoryPerAccount", "The limit is MaxMemoryPerAccount: set hydra.launcher.memory_gb, or"),
        ("MaxGRESPerAccount", "The limit is MaxGRESPerAccount: set hydra.launcher.gpus, or"),
        ("QOSUsageThreshold", "The limit is QOSUsageThreshold: set hydra.launcher.qos or account."),
        ("", "Set what hydra.launcher asks for, or hydra.launcher.qos or account."),
    ],
)
def test_a_policy_is_answered_with_the_limit_that_was_meant(limit, advice):
    """Its general sentence speaks of all limits there are, of time too."""
    said = explain_refusal(f"sbatch: error: {limit}\n{POLICY}")
    assert advice in said
    assert ("max_minutes" in said) == ("Wall" in limit)
    assert too_many(LaunchError(said)) == (not limit or "Submit" in limit)


def test_gpus_that_no_node_has_are_answered_with_those_of_nodes(cluster):
    cluster.controller.nodes = [line()]
    said = explain_refusal("sbatch: error: Invalid generic resource (gres) specification")
    assert "Nodes of partition main have up to 62 GB, 16 CPUs and 4 GPUs. Set hydra.launcher.gpus" in said
    assert "dashes" not in said


def test_words_that_nobody_knows_stay_as_they_are():
    assert explain_refusal("sbatch: error: go away\nsbatch: error: go away\n") == "sbatch: error: go away"


def test_a_submission_that_is_refused_says_so_once(sweeps, cluster, capfd):
    cluster.fail("sbatch", error=PARTITION)
    with pytest.raises(LaunchError, match=r"partition=gpuu: sbatch: .*Partitions here: main\. Set hydra"):
        sweeps.submit(sweeps.cell(), partition="gpuu")
    assert "invalid partition" not in capfd.readouterr().err
