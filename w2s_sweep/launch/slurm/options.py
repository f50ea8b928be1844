"""sbatch's options of a task beyond its resources: what was set for all tasks, for a kind or a role, and by the shell.

Nothing in the environment of sbatch decides anything: SBATCH_* beats what a script says (man sbatch), so that a
forgotten SBATCH_PARTITION would win over Hydra's, SBATCH_JOB_NAME would take a task's identity and SBATCH_WAIT would
keep the command from returning. What a site's profile sets and Hydra does not, such as an account, is passed on.
"""

import os
import shlex
import string
from collections.abc import Iterator, Mapping
from dataclasses import replace

from w2s_sweep.launch.slurm.settings import PLACES, Option, Placement, Settings
from w2s_sweep.plan.packs import Pack

Options = tuple[tuple[str, Option], ...]
"""Sorted (name, value); None takes an option away that a task would have, True is an option without a value."""
PASSED_ON = (*PLACES, "reservation", "wckey")
"""Options that sites set in a profile; those of the shell hold where Hydra sets none."""


def options_of(pack: Pack, settings: Settings) -> Options:
    """The options of a pack; where its stages differ, those of the stage that costs most hold."""
    found = _collect(settings)
    for stage in sorted(pack.stages, key=lambda stage: stage.cost.flops):
        for label in (stage.kind, stage.hints.role):
            if label in settings.stages:
                found |= _collect(settings.stages[label])
    return tuple(sorted(found.items()))


def placement(settings: Settings) -> Options:
    """The options of all tasks, whatever they run."""
    return tuple(sorted(_collect(settings).items()))


def _collect(of: Placement) -> dict[str, Option]:
    places: dict[str, Option] = {name: value for name in PLACES if (value := getattr(of, name)) is not None}
    return places | {to_dashes(name): value for name, value in (of.sbatch or {}).items()}


def to_dashes(name: str) -> str:
    """As sbatch spells it."""
    return name.replace("_", "-")


def adopt_environment(settings: Settings) -> tuple[Settings, list[str]]:
    """The settings with what the shell's SBATCH_* add to them, and a line for each of these variables."""
    own, free, said = _collect(settings), dict(settings.sbatch or {}), list[str]()
    for variable, value in sorted(os.environ.items()):
        name = variable.removeprefix("SBATCH_").lower()
        if not variable.startswith("SBATCH_"):
            continue
        if name in PASSED_ON and name not in own:
            free[name] = value
            said.append(f"{variable}={value} of the environment: passed on, since no setting says otherwise")
        elif name in PASSED_ON:
            said.append(f"{variable}={value} of the environment: not used, hydra.launcher says {own[name]}")
        else:
            said.append(
                f"{variable}={value} of the environment: not used. What tasks are to have of it is a setting: "
                "hydra.launcher.sbatch={OPTION: VALUE}."
            )
    return replace(settings, sbatch=free or None), said


def rewrite(script: str, options: Options, values: Mapping[str, object]) -> str:
    """A submission script with `options` in place of what it has under their names; `{gpus}` and its like filled in."""
    rest = [line for line in script.splitlines() if not line.startswith("#SBATCH ")]
    words = [word.removeprefix("--").partition("=") for word in words_of(script)]
    own = {name: said if equals else True for name, equals, said in words if name != "wckey"}
    # wckey: clusters that enforce keys refuse submitit's
    lines = [f"#SBATCH {_word(name, said)}" for name, said in sorted(merge_options(own, options, values).items())]
    at = rest.index("# Parameters") + 1
    return "\n".join([*rest[:at], *lines, *rest[at:]])


def merge_options(
    own: Mapping[str, str | bool], options: Options, values: Mapping[str, object]
) -> dict[str, str | bool]:
    """The options that a script ends up with: its `own`, with `options` in their place; True: without a value."""
    final = dict(own)
    if any(name in ("gres", "gpus") and "gpu" in f"{name} {value}" for name, value in options):
        final.pop("gpus-per-node", None)  # else GPUs would be requested twice
    for name, value in options:
        final.pop(name, None)
        without = values.get("gpus") == 0 and "{gpus}" in str(value)  # of a type that the task needs none of
        if value is not None and value is not False and not without:
            final[name] = True if value is True else _fill(value, values)
    return final


def _word(name: str, said: str | bool) -> str:
    return f"--{name}" if said is True else f"--{name}={shlex.quote(str(said))}"


def _fill(value: Option, values: Mapping[str, object]) -> str:
    return string.Formatter().vformat(str(value), (), values)


def words_of(script: str) -> Iterator[str]:
    """What a script's head says, as words of a command line."""
    for line in script.splitlines():
        if line.startswith("#SBATCH "):
            yield from shlex.split(line)[1:]
