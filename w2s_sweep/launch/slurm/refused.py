"""What sbatch's words mean when it refuses a task, with what this cluster gives in its place."""

import re
from collections.abc import Callable, Mapping

from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.inventory import read_nodes
from w2s_sweep.launch.slurm.limits import default_partitions, read_partitions


def explain_refusal(complaint: str, partition: object = None) -> str:
    """sbatch's own words, once, and which setting helps. `partition`: that of the task, if it names any."""
    lines = dict.fromkeys(line.strip() for line in complaint.strip().splitlines())
    said = " ".join(line for line in lines if line and not line.startswith('Try "sbatch --help"'))
    why = next((explain(partition) for words, explain in REFUSALS.items() if re.search(words, complaint)), "")
    return f"{said[-800:]}{'. ' if why and not said.endswith('.') else ' ' if why else ''}{why}"


def _partitions(partition: object) -> str:
    with commands.in_a_hurry():
        there = read_partitions()
    shown = f"Partitions here: {', '.join(there)}. " if there else ""
    return f"{shown}Set hydra.launcher.partition."


def _nodes(partition: object) -> str:
    with commands.in_a_hurry():
        partitions, nodes = read_partitions(), read_nodes()
    names = str(partition).split(",") if partition else default_partitions(partitions)
    there = [node for node in nodes if node.partitions & set(names)]
    settings = "Set hydra.launcher.memory_gb, cpus, gpus, constraint or partition."
    if not there:
        return settings
    memory, cpus, gpus = (max(getattr(node, name) for node in there) for name in ("memory_mb", "cpus", "gpus"))
    most = f"up to {memory // 1024} GB, {cpus} CPUs and {gpus} GPUs"
    return f"Nodes of partition {', '.join(names)} have {most}. {settings}"


def _of(text: str) -> Callable[[object], str]:
    return lambda partition: text


REFUSALS: Mapping[str, Callable[[object], str]] = {
    "[Ii]nvalid partition": _partitions,
    "node configuration is not available|More processors requested than permitted|Memory specification": _nodes,
    "reservation is invalid": _of(
        "`scontrol show reservation` lists them; hydra.launcher.sbatch.reservation names one."
    ),
    "[Ii]nvalid account|[Ii]nvalid qos|InvalidAccount|InvalidQOS": _of(
        "`sacctmgr show assoc user=$USER format=account,qos` lists yours: set hydra.launcher.account or qos."
    ),
    "[Ii]nvalid feature": _of("`sinfo --format=%f` lists the features of nodes: set hydra.launcher.constraint."),
    "time limit": _of("Set hydra.launcher.max_minutes, minutes or partition."),
    "unrecognized option|[Ii]nvalid --|[Ii]nvalid numeric|[Ii]nvalid generic resource": _of(
        "Options of hydra.launcher.sbatch are those of `man sbatch`, without the dashes before them."
    ),
}  # fmt: skip
"""Words of sbatch -> what to do."""
