"""All sweeps of a store at a glance: age, state, cells that are done, size on disk."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from w2s_sweep.amounts import show_bytes, show_time
from w2s_sweep.launch.status import Look, StageStatus, stage_states
from w2s_sweep.store import Store
from w2s_sweep.store.files import size_of
from w2s_sweep.store.sharing import owner_of

SweepState = Literal["running", "queued", "failed", "unfinished", "done"]


@dataclass(frozen=True)
class Overview:
    """One sweep."""

    name: str
    owner: str | None
    """Another user whose sweep it is; None where it is one's own."""
    seconds: float
    """Since its command last ran."""
    state: SweepState
    """running or queued: something of it is; failed: a stage ended badly; unfinished: stages are missing."""
    note: str
    """Counts behind the state, such as `2 failed`."""
    done: int
    """Cells whose roles are all finished."""
    cells: int
    bytes: int
    """Its folder and all finished stages that it names, others' as well: `w2s rm` frees what only it needs."""


class Sizes:
    """Bytes of finished stages, each looked up once however many sweeps name it."""

    def __init__(self, store: Store):
        self.store, self.known = store, dict[str, int]()

    def of(self, key: str) -> int:
        if key not in self.known:
            self.known[key] = self.store.size(key)
        return self.known[key]


def overview(store: Store, name: str, look: Look, sizes: Sizes) -> Overview:
    """What there is to say of one sweep. Raises StoreError where its record cannot be read."""
    record = store.read_sweep(name)
    states = stage_states(store, name, look)
    finished = {one.key for one in states if one.state == "done"}
    state, note = summarize(states)
    return Overview(
        name=name,
        owner=owner_of(record),
        seconds=max(0.0, time.time() - (store.sweep(name) / "sweep.json").stat().st_mtime),
        state=state,
        note=note,
        done=sum(_roles(entry) <= finished for entry in record["cells"]),
        cells=len(record["cells"]),
        bytes=size_of([store.sweep(name)]) + sum(map(sizes.of, finished)),
    )


def _roles(entry: Mapping[str, Any]) -> set[str]:
    return {str(key) for key in entry["roles"].values()}


def summarize(states: Sequence[StageStatus]) -> tuple[SweepState, str]:
    """The state of a sweep from those of its stages, and the counts that matter."""
    counts = Counter(one.state for one in states)
    bad = ", ".join(f"{counts[s]} {s}" for s in ("stalled", "failed", "lost", "stuck", "cancelled") if counts[s])
    if working := counts["running"] + counts["stalled"]:
        return "running", ", ".join(filter(None, [f"{working} now", bad]))
    if any(one.alive for one in states):
        return "queued", ", ".join(filter(None, [f"{sum(one.alive for one in states)} in the queue", bad]))
    if bad:
        return "failed", bad
    left = len(states) - counts["done"]
    return ("unfinished", f"{left} of {len(states)} stages missing") if left else ("done", "")


def table_of(found: Sequence[Overview]) -> Table:
    """A line a sweep; whose it is only where some are others'."""
    others = any(one.owner for one in found)
    table = Table("sweep", *(["user"] if others else []), "age", "state", "cells", "size", "note", box=None)
    table.pad_edge = False
    for name in ("cells", "size"):
        next(column for column in table.columns if column.header == name).justify = "right"
    for one in found:
        words = (show_time(one.seconds), one.state, f"{one.done}/{one.cells}", show_bytes(one.bytes), one.note)
        table.add_row(*map(Text, (one.name, *([one.owner or "you"] if others else []), *words)))
    return table
