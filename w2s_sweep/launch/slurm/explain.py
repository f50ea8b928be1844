"""What the tasks of stages would ask for, and where each number comes from (`plan_only=true`, `dry_run`)."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from w2s_sweep.kinds import Kind
from w2s_sweep.launch.slurm.learned import Learned
from w2s_sweep.launch.slurm.resources import ask_of, gpus_asked, learned_from, where_from
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.plan.packs import Pack
from w2s_sweep.plan.stage import Stage


def explain_asks(stages: Sequence[Stage[Kind]], settings: Settings, learned: Learned) -> Iterator[str]:
    """A line for each kind and role of stages with equal asks, of a stage in a task of its own. `settings`: as a
    submission would have them, with the speed that it learns (speed.py)."""
    found = Counter(_line(stage, settings, learned) for stage in stages)
    for line, count in found.items():
        yield f"asks of {count} {line}"


def _line(stage: Stage[Kind], settings: Settings, learned: Learned) -> str:
    ask = ask_of(Pack("", (stage,), frozenset()), settings, learned)
    memory, time = (where_from(stage, name, settings, learned) for name in ("memory_gb", "minutes"))
    who = " ".join(filter(None, (stage.kind, stage.hints.role)))
    return f"{who}, a task each: {ask.asked.memory} ({memory}), {ask.asked.time} ({time})"


def learners(stages: Sequence[Stage[Kind]], settings: Settings, learned: Learned) -> Mapping[str, int]:
    """Key -> GPUs, of the stages of which something that a task asks for is what finished ones have used."""
    return {
        one.key: gpus_asked(one, settings)
        for one in stages
        if learned_from(one, "memory_gb", settings, learned) or learned_from(one, "minutes", settings, learned)
    }
