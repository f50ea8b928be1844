"""What sbatch's words mean when it refuses a task, with what this cluster gives in its place."""

import re
from collections.abc import Callable, Mapping

from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.inventory import read_nodes
from w2s_sweep.launch.slurm.limits import default_partitions, named_partitions, read_partitions


def explain_refusal(complaint: str, partition: object = None) -> str:
    """sbatch's own words, once, and which setting helps. `partition`: that of the task, if it names any."""
    lines = dict.fromkeys(line.strip() for line in complaint.strip().splitlines())
    said = " ".join(line for line in lines if line and not line.startswith('Try "sbatch --help"'))
    why = next(
        (explain(complaint, partition) for words, explain in REFUSALS.items() if re.search(words, complaint)), ""
    )
    return f"{said[-800:]}{'. ' if why and not said.endswith('.') else ' ' if why else ''}{why}"


def _partitions(_: str, partition: object) -> str:
    with commands.in_a_hurry():
        there = read_partitions()
    shown = f"Partitions here: {', '.join(there)}. " if there else ""
    return f"{shown}Set hydra.launcher.partition."


def _beside_nodes(settings: str) -> Callable[[str, object], str]:
    """What nodes of the partition have at most, where SLURM shows it, and what to do."""

    def say(_: str, partition: object) -> str:
        with commands.in_a_hurry():
            partitions, nodes = read_partitions(), read_nodes()
        names = named_partitions(partition, default_partitions(partitions))
        there = [node for node in nodes if node.partitions & set(names)]
        if not there:
            return settings
        memory, cpus, gpus = (max(getattr(node, name) for node in there) for name in ("memory_mb", "cpus", "gpus"))
        most = f"up to {memory // 1024} GB, {cpus} CPUs and {gpus} GPUs"
        return f"Nodes of partition {', '.join(names)} have {most}. {settings}"

    return say


def _policy(complaint: str, _: object) -> str:
    """The limit has a name in a line before the general sentence, which speaks of all limits there are."""
    limit = next(iter(LIMIT.findall(complaint)), "")
    fields = next((fields for word, fields in LIMITED.items() if re.search(word, limit)), "")
    said = f"The limit is {limit}: set " if limit else "Set what hydra.launcher asks for, or "
    shown = "`sacctmgr show qos` and `sacctmgr show assoc user=$USER` list limits"
    return f"{said}{fields and f'hydra.launcher.{fields}, or '}hydra.launcher.qos or account. {shown}."


def _of(text: str) -> Callable[[str, object], str]:
    return lambda complaint, partition: text


LIMIT = re.compile(r"\b(?:(?:Assoc|QOS)[A-Z]\w*|Max[A-Z]\w*PerAccount\b)")
"""Which limit sbatch names, in a line before its general sentence; those of a QOS for an account begin with Max."""
LIMITED = {
    "Submit": "max_submit",
    "Wall|Time": "max_minutes or minutes",
    "Mem": "memory_gb",
    "(?i:gres|gpu)": "gpus",
    "(?i:cpu)": "cpus",
    "Node": "gpus or cpus",
}
"""Words in the name of a limit -> fields that keep to it."""


REFUSALS: Mapping[str, Callable[[str, object], str]] = {
    "[Ii]nvalid partition": _partitions,
    "node configuration is not available|More processors requested|Memory specification|CPU count per node": (
        _beside_nodes("Set hydra.launcher.memory_gb, cpus, gpus, constraint or partition.")
    ),
    "reservation is invalid": _of(
        "`scontrol show reservation` lists them; hydra.launcher.sbatch.reservation names one."
    ),
    "[Ii]nvalid account|[Ii]nvalid qos|InvalidAccount|InvalidQOS": _of(
        "`sacctmgr show assoc user=$USER format=account,qos` lists yours: set hydra.launcher.account or qos."
    ),
    "[Ii]nvalid feature": _of("`sinfo --format=%f` lists the features of nodes: set hydra.launcher.constraint."),
    "accounting/QOS policy": _policy,
    "generic resource": _beside_nodes(
        "Set hydra.launcher.gpus; sbatch.gres names a type that nodes have (`sinfo --format=%G` lists them)."
    ),
    "Requested time limit|[Ii]nvalid time limit": _of("Set hydra.launcher.max_minutes, minutes or partition."),
    "unrecognized option|[Ii]nvalid --|[Ii]nvalid numeric": _of(
        "Options of hydra.launcher.sbatch are those of `man sbatch`, without the dashes before them."
    ),
}  # fmt: skip
"""Words of sbatch -> what to do."""
