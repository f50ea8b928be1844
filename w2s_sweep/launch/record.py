"""sweep.json: what a sweep is. Its cells, their roles, its stages; results are found from this file alone."""

import getpass
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from rich.console import Console

from w2s_sweep.cells.cell import Cell, Sweep
from w2s_sweep.config.plain import plain
from w2s_sweep.launch.code import code_identity
from w2s_sweep.launch.resolve import Resolved
from w2s_sweep.plan.graph import Graph
from w2s_sweep.plan.roles import Roles
from w2s_sweep.plan.stage import canonical
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.store.records import NamedStage
from w2s_sweep.store.sharing import own_folder, owner_of


@dataclass(frozen=True)
class Request:
    """The composed cells of a command, those of its earlier batches first."""

    command: Sequence[str]
    composed: Sequence[Mapping[str, Any]] = ()
    overrides: Sequence[Sequence[str]] = ()
    earlier: int = 0
    """Cells of earlier batches of the same command."""
    first: int = 0
    """Cells of the first batch, which name the sweep."""

    def extend(self, composed: Sequence[Mapping[str, Any]], overrides: Sequence[Sequence[str]]) -> "Request":
        return replace(
            self,
            composed=[*self.composed, *composed],
            overrides=[*self.overrides, *overrides],
            earlier=len(self.composed),
            first=self.first or len(composed),
        )


def default_name(cells: Sequence[Cell], roles: Sequence[Roles]) -> str:
    """The same cells are the same sweep, whoever runs them."""
    keys = sorted({key for one in roles for key in one.keys()})  # noqa: SIM118 - not a dict
    datasets = sorted({cell.dataset.name for cell in cells[: len(roles)]})
    head = datasets[0] if len(datasets) == 1 else f"{len(datasets)}-datasets"
    return f"{head}-{hashlib.sha256(canonical(keys).encode()).hexdigest()[:8]}"


def own_name(store: Store, name: str) -> str:
    """Another user's sweep of the same cells has the same name by default, and its own record."""
    taken = owner_of(read_json(store.sweep(name) / "sweep.json"))
    return name if taken is None else f"{name}-{getpass.getuser()}"


def record_sweep(
    console: Console,
    store: Store,
    sweep: Sweep,
    request: Request,
    cells: Sequence[Cell],
    graph: Graph,
    resolved: Resolved,
) -> None:
    """Write what the sweep is: its cells, their roles, its stages. Results are found from this file alone."""
    name = str(sweep.name)
    stages = {
        key: {
            "label": stage.label,
            "kind": stage.kind,
            "role": stage.hints.role,
            "inputs": dict(stage.inputs),
        }
        for key, stage in graph.stages.items()
    }
    entries = [
        {"overrides": list(overrides), "cell": plain(cell), "roles": keys_by_role(roles), "tests": tests_of(roles)}
        for overrides, cell, roles in zip(request.overrides, cells, graph.roles, strict=True)
    ]
    path = own_folder(store.sweep(name)) / "sweep.json"
    before = read_json(path) or {}
    lost = before.get("stages", {}).keys() - stages.keys()
    if lost:
        kept = store.keep_earlier(name, before)
        console.print(
            f"sweep {name}: {len(lost)} stages of an earlier command are not part of this one. Table and report now "
            f"show this command's cells; the earlier record is kept in {kept}. Use name=OTHER to keep both apart.",
            highlight=False,
        )
    record = {
        "name": name,
        "user": getpass.getuser(),
        "created": before.get("created", time.strftime("%Y-%m-%d %H:%M:%S")),
        "command": list(request.command),
        "code": code_identity(),
        "cells": entries,
        "stages": stages,
        "settings": plain(sweep),
        "sources": [
            {"source": plain(source), "kind": kind, "identity": dict(identity)}
            for (source, kind), identity in resolved.items()
        ],
    }
    # The list first: ended in between, a command leaves no stage that is recorded and not listed.
    store.list_stages(name, (NamedStage(key, stage.kind, stage.label) for key, stage in graph.stages.items()))
    write_json(path, record)


def keys_by_role(roles: Roles) -> dict[str, str]:
    """Role -> key of the stage that plays it, without roles that nobody plays."""
    named = {f.name: getattr(roles, f.name) for f in fields(roles) if f.name != "tests"}
    return {role: key for role, key in named.items() if key is not None}


def tests_of(roles: Roles) -> dict[str, dict[str, str]]:
    """Name of a further test set -> the same of it."""
    return {name: keys_by_role(shown) for name, shown in roles.tests}
