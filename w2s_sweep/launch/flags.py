"""Hydra's flags: each one acts as in stock Hydra, or says why not before anything starts: docs/COMMANDS.md.

Hydra's parser answers what flags there are; it wants all overrides in a row, here flags may stand between them.
"""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import Override

from w2s_sweep.errors import ConfigError

SHOWING = {"cfg": "--cfg", "info": "--info", "help": "--help"}
"""Flags that show one composed cell instead of running it."""
COMMANDS = {"run": "--run", "multirun": "--multirun", "cfg": "--cfg", "info": "--info", "shell_completion": "-sc"}
"""What Hydra is asked to do: one of them."""

COMPLETION = ("install=", "uninstall=", "query=")


def read_flags(argv: Sequence[str]) -> Namespace:
    """Flags and overrides of a command line; raises ConfigError with flags that do not act."""
    words = ["yes=true" if word == "--yes" else word for word in argv]
    said = get_args_parser().parse_intermixed_args(words)
    if problems := _problems(said):
        raise ConfigError(problems)
    return said


def as_words(said: Namespace, overrides: Sequence[str], program: Path) -> list[str]:
    """The command line as Hydra reads it: overrides first, since `--info` at the end takes no value."""
    words = ["hydra/sweeper=grid" if line == "hydra/sweeper=basic" else line for line in overrides]
    for action in get_args_parser()._actions:  # pyright: ignore[reportPrivateUsage]
        value: Any = getattr(said, action.dest, None)
        if not action.option_strings or value in (None, False):
            continue
        name = action.option_strings[0]
        if action.dest == "config_path":
            value = config_path(said, program)
        words += [name] if value is True else [f"{name}={value}"]
    return words


def config_path(said: Namespace, program: Path) -> str | None:
    """`--config-path`: a package, or a folder, from where the command is typed or beside the program as in Hydra."""
    path: str | None = said.config_path
    if path is None or path.startswith("pkg://"):
        return path
    places = [Path(path).expanduser().absolute(), (program.absolute().parent / path)]
    found = [place for place in places if place.is_dir()]
    if not found:
        raise ConfigError([f"--config-path: {places[0]} is not a folder. Give one that holds config.yaml."])
    return str(found[0])


def sweeps_shown(said: Namespace, overrides: Sequence[Override]) -> list[str]:
    """What is wrong with grids in a command that shows one cell."""
    showing = [name for dest, name in SHOWING.items() if getattr(said, dest)]
    return [
        f"{line.input_line}: {showing[0]} shows one cell, not a grid. Give one value; plan_only=true shows all cells."
        for line in overrides
        if showing and line.is_sweep_override()
    ]


def _problems(said: Namespace) -> list[str]:
    problems: list[str] = []
    if said.experimental_rerun is not None:
        problems.append(
            f"--experimental-rerun: {said.experimental_rerun} is a pickle, which runs any code in it, and none "
            "is written here. The cells of a sweep stand in its sweep.json: w2s retry SWEEP runs what is missing."
        )
    commands = [name for dest, name in COMMANDS.items() if getattr(said, dest)]
    shown = [name for dest, name in SHOWING.items() if getattr(said, dest) and dest != "help"]
    if said.multirun and shown and len(commands) == 2:
        problems.append(
            f"{shown[0]}: shows the configuration of one cell, so it does not go with --multirun. Leave that out, "
            "with one value for each setting; plan_only=true shows the cells of a grid."
        )
    elif len(commands) > 1:
        problems.append(f"{', '.join(commands)}: only one of these at a time. Leave out all but one.")
    if said.resolve and not (said.cfg or said.help):
        problems.append("--resolve: acts on what --cfg or --help show. Add --cfg job, or leave it out.")
    if said.shell_completion and not any(line.startswith(COMPLETION) for line in said.overrides):
        problems.append(
            "--shell-completion: needs to know what for, as in -sc install=bash (also zsh, fish; uninstall=)."
        )
    if said.package is not None and not said.cfg:
        problems.append("--package: acts on what --cfg shows. Add --cfg job, or leave it out.")
    return problems
