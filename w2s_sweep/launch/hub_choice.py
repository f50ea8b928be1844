"""`strong=OWNER/NAME`: a repository of the hub is a choice of the group `model`, though it has no file there (see
`launch.files`)."""

from collections.abc import Iterable
from pathlib import Path

from hydra.core.override_parser.types import Override

from w2s_sweep.cells.described import ROLES
from w2s_sweep.sources.adapter import REPOSITORY


def as_choice(line: str, override: Override, names: Iterable[str]) -> str:
    """The line as it is said of a group, where one of the values is a repository; else unchanged."""
    if override.package is not None or override.key_or_group not in ROLES or isinstance(override.value(), dict):
        return line
    if override.is_delete() or not any("/" in name for name in names):
        return line
    return f"model@{line.lstrip('+')}"


def problem_of(role: str | None, name: str, folders: Iterable[str]) -> str | None:
    """What is wrong with a name of a model that is no file: None where it can be a repository, empty where it cannot.

    `folders`: those of the group, whose files are named with a slash as well.
    """
    if is_path(name):
        return f"model@{role}={name}: is a path of this machine. Say {role}.path={name}."
    return None if can_be_repository(name, folders) else ""


def is_path(name: str) -> bool:
    """Whether a name leads to something on this machine."""
    return "/" in name and Path(name).expanduser().exists()


def can_be_repository(name: str, folders: Iterable[str]) -> bool:
    """Whether a name of a model that is no file may be one of the hub: `folders` of the group have files alone."""
    return REPOSITORY.fullmatch(name) is not None and name.partition("/")[0] not in folders
