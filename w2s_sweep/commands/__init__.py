"""The sub-commands of `w2s`, one file a group; `w2s --help` lists them in this order."""

from w2s_sweep.commands import (
    bundle,
    diff,
    doctor,
    jobs,
    mirrors,
    results,
    stages,
    status,
    sweeps,
    tasks,
    trained,
    upkeep,
)
from w2s_sweep.commands.base import Command

COMMANDS: tuple[Command, ...] = (
    *sweeps.COMMANDS,
    *status.COMMANDS,
    *jobs.COMMANDS,
    *results.COMMANDS,
    *bundle.COMMANDS,
    *diff.COMMANDS,
    *mirrors.COMMANDS,
    *stages.COMMANDS,
    *trained.COMMANDS,
    *tasks.COMMANDS,
    *upkeep.COMMANDS,
    *doctor.COMMANDS,
)
