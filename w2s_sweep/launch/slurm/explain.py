"""What the tasks of stages would ask for, and where each number comes from (`plan_only=true`, `dry_run`)."""

from collections import Counter
from collections.abc import Iterator, Sequence

from w2s_sweep.kinds import Kind
from w2s_sweep.launch.slurm.learned import Learned
from w2s_sweep.launch.slurm.resources import BY_HAND, ask_of, where_from
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.plan.packs import Pack
from w2s_sweep.plan.stage import Stage


def explain_asks(stages: Sequence[Stage[Kind]], settings: Settings, learned: Learned) -> Iterator[str]:
    """A line for each kind and role of stages with equal asks, of a stage in a task of its own."""
    found = Counter(_line(stage, settings, learned) for stage in stages)
    for line, count in found.items():
        yield f"asks of {count} {line}"


def _line(stage: Stage[Kind], settings: Settings, learned: Learned) -> str:
    ask = ask_of(Pack("", (stage,), frozenset()), settings, learned)
    memory, time = (where_from(stage, name, settings, learned) for name in ("memory_gb", "minutes"))
    who = " ".join(filter(None, (stage.kind, stage.hints.role)))
    return f"{who}: {ask.memory_gb} GB ({memory}), {ask.minutes} minutes ({time})"


def learners(stages: Sequence[Stage[Kind]], settings: Settings, learned: Learned) -> set[str]:
    """Stages of which not everything that could be learned is set by hand."""
    both = ("memory_gb", "minutes")
    return {one.key for one in stages if any(where_from(one, name, settings, learned) != BY_HAND for name in both)}
