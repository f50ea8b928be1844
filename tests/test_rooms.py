"""Imports point down the list of rooms, and no two files need each other."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import w2s_sweep

PACKAGE = Path(w2s_sweep.__file__).parent
ROOMS = (
    "__main__", "cli", "commands", "api", "launch", "export", "results", "stages", "training", "runner", "cells",
    "methods", "tracking", "plan", "kinds", "models", "data", "sources", "modules", "store", "predictions", "losses",
    "metrics", "config", "arrays", "registry", "amounts", "terminal", "errors", "version",
)  # fmt: skip
"""From the top down, as in docs/ARCHITECTURE.md: a room imports from rooms after it alone."""


def files() -> dict[str, Path]:
    """Name of every module -> its file."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


FILES = files()


@cache
def imports(path: Path) -> tuple[str, ...]:
    """The modules of the package that a file imports, wherever in it."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in FILES)
        if isinstance(node, ast.ImportFrom) and node.module in FILES:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in FILES else node.module


def test_every_file_is_in_a_room_of_the_list():
    assert {name.split(".")[1] for name in FILES if "." in name} <= set(ROOMS)


def test_no_arrow_runs_against_the_stream():
    against = []
    for name, path in FILES.items():
        for other in imports(path):
            if "." not in name or "." not in other:
                continue
            here, there = name.split(".")[1], other.split(".")[1]
            if ROOMS.index(there) < ROOMS.index(here):
                against.append(f"{name} -> {other}")
    assert against == []


def test_there_is_no_circle():
    graph = {name: {other for other in imports(path) if other != name} for name, path in FILES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None
