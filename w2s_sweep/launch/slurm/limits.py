"""What a partition gives at most, looked up before anything is submitted: above it tasks would wait for ever.

Longer tasks get the longest time that there is and go on from their checkpoints, and a margin on memory that was
learned is cut; memory and CPUs that no node of the partition gives are refused.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from w2s_sweep.errors import ConfigError
from w2s_sweep.launch.slurm import commands
from w2s_sweep.launch.slurm.inventory import Node, read_nodes
from w2s_sweep.launch.slurm.resources import Ask
from w2s_sweep.launch.slurm.words import count_of, minutes_of
from w2s_sweep.plan.packs import Pack


@dataclass(frozen=True)
class Partition:
    """Limits of one; None is no limit."""

    default: bool
    minutes: int | None
    memory_mb: int | None
    """Per node."""
    cpus: int | None
    """Per node."""
    nodes: Sequence[Node] = ()
    """Empty where they were not looked up (`look_at_nodes`)."""

    def most_mb(self, ask: Ask) -> int | None:
        """Memory that a task can have here at most, on the largest node with as many GPUs; None where that is not
        known."""
        largest = max((node.memory_mb for node in self.nodes if node.gpus >= ask.gpus), default=None)
        return min(filter(None, (self.memory_mb, largest)), default=None)


def read_partitions() -> dict[str, Partition]:
    """The cluster's partitions by name; empty where SLURM does not show them."""
    return {
        one["PartitionName"]: Partition(
            one.get("Default") == "YES",
            None if (minutes := minutes_of(one.get("MaxTime", ""))) is None else int(minutes),
            count_of(one.get("MaxMemPerNode")),
            count_of(one.get("MaxCPUsPerNode")),
        )
        for one in commands.show("partition")
        if "PartitionName" in one
    }


def look_at_nodes(
    partitions: Mapping[str, Partition], asks: Iterable[tuple[Pack, Ask]], nodes: Callable[[], Sequence[Node]]
) -> Mapping[str, Partition]:
    """The same with their nodes, for asks with a margin that would be refused above the largest: few sites set
    MaxMemPerNode."""
    if not partitions or all(ask.least_gb is None for _, ask in asks):
        return partitions
    found = nodes()
    return {
        name: replace(one, nodes=[node for node in found if name in node.partitions])
        for name, one in partitions.items()
    }


def fit(asks: Sequence[tuple[Pack, Ask]], partitions: Mapping[str, Partition]) -> list[tuple[Pack, Ask]]:
    """The same with times and margins that the partitions give; ConfigError with everything that none of them gives."""
    there = {ask: _partitions_of(ask, partitions) for _, ask in asks}
    fitted = {ask: _with_time(_with_memory(ask, them.values()), them.values()) for ask, them in there.items()}
    if problems := [line for ask, them in there.items() for line in _problems(fitted[ask], them)]:
        raise ConfigError(list(dict.fromkeys(problems)))
    return [(pack, fitted[ask]) for pack, ask in asks]


def foresee(asks: Sequence[tuple[Pack, Ask]]) -> tuple[list[tuple[Pack, Ask]], list[str]]:
    """What the partitions make of these asks, and what to say of that, for a plan: it waits for no busy controller,
    needs none, and refuses nothing."""
    as_they_are = fit(asks, {})
    if not commands.available() or not asks:
        return as_they_are, []
    with commands.in_a_hurry():
        if not (partitions := read_partitions()):
            return as_they_are, ["limits of partitions: SLURM does not show them now; a submission looks again"]
        there = look_at_nodes(partitions, asks, read_nodes)
    try:
        fitted = fit(asks, there)
    except ConfigError as error:
        return as_they_are, [f"a submission is refused: {problem}" for problem in error.problems]
    return fitted, [*_say_unknown(asks, partitions), *say_clipped(asks, fitted)]


def _say_unknown(asks: Iterable[tuple[Pack, Ask]], partitions: Mapping[str, Partition]) -> Iterator[str]:
    """A line for each partition that is named and not shown; SLURM may hide it."""
    named = {name for _, ask in asks for name in named_partitions(ask.partition, ())}
    for name in sorted(named - partitions.keys()):
        yield f"hydra.launcher.partition: SLURM shows no {name} here. Partitions: {', '.join(partitions)}."


def say_clipped(before: Iterable[tuple[Pack, Ask]], after: Iterable[tuple[Pack, Ask]]) -> Iterator[str]:
    """A line for each time limit, and each memory with a margin, that the partition has cut."""
    pairs = [(old, new) for (_, old), (_, new) in zip(before, after, strict=True)]
    for old, new in sorted({(old.minutes, new.minutes) for old, new in pairs if old.minutes != new.minutes}):
        yield (
            f"time: {old} minutes are more than the partition gives; tasks get {new} and go on from their checkpoints "
            "(hydra.launcher.partition names another one)"
        )
    for old, new in sorted({(old.memory_gb, new.memory_gb) for old, new in pairs if old.memory_gb != new.memory_gb}):
        yield (
            f"memory: {old} GB, with the margin on what finished stages used, are more than the partition gives; tasks "
            f"get {new} (hydra.launcher.partition names another one)"
        )


def _partitions_of(ask: Ask, partitions: Mapping[str, Partition]) -> Mapping[str, Partition]:
    """Those in which a task may run; empty where that is not known, as sbatch refuses unknown names itself."""
    names = named_partitions(ask.partition, default_partitions(partitions))
    return {name: partitions[name] for name in names} if partitions.keys() >= set(names) else {}


def named_partitions(said: object, defaults: Sequence[str]) -> Sequence[str]:
    """Those that a task's option names, else the cluster's defaults."""
    return str(said).split(",") if said else defaults


def default_partitions(partitions: Mapping[str, Partition]) -> list[str]:
    """Those of tasks that name none."""
    return [name for name, one in partitions.items() if one.default]


def _problems(ask: Ask, there: Mapping[str, Partition]) -> Iterator[str]:
    free = dict(ask.options)
    wants = {
        "memory_gb": (1024 * ask.memory_gb, "memory_mb", "mem", 1024),
        "cpus": (ask.cpus, "cpus", "cpus-per-task", 1),
    }
    for field, (wanted, limit, option, unit) in wants.items():
        most = _most(getattr(one, limit) for one in there.values())
        if option not in free and most is not None and wanted > most:
            yield (
                f"hydra.launcher.{field}: tasks ask for {wanted // unit}, and partition {', '.join(there)} gives at "
                f"most {most // unit} a node. Set hydra.launcher.{field}, or a partition that gives more "
                "(hydra.launcher.partition)."
            )


def _with_memory(ask: Ask, there: Iterable[Partition]) -> Ask:
    """A margin that was learned is worth less than a submission that is not refused."""
    most = _most(one.most_mb(ask) for one in there)
    if ask.least_gb is None or most is None or "mem" in dict(ask.options):
        return replace(ask, least_gb=None)
    return replace(ask, memory_gb=max(ask.least_gb, min(ask.memory_gb, most // 1024)), least_gb=None)


def _with_time(ask: Ask, there: Iterable[Partition]) -> Ask:
    most = _most(one.minutes for one in there)
    if most is None or "time" in dict(ask.options):
        return ask
    return replace(ask, minutes=min(ask.minutes, most), most_minutes=most)


def _most(limits: Iterable[int | None]) -> int | None:
    """Of several partitions, the largest limit; None where one has none."""
    found = list(limits)
    return None if not found or None in found else max(one for one in found if one is not None)
