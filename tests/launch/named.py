"""Sweeps that name stages, as a command leaves them, with as little as whoever learns from their stages reads."""

from collections.abc import Iterable

from w2s_sweep.store import Store
from w2s_sweep.store.files import write_json
from w2s_sweep.store.records import NamedStage


def name_stages(store: Store, sweep: str, stages: Iterable[NamedStage]) -> None:
    """`sweep` is the newest one afterwards."""
    named = list(stages)
    write_json(store.sweep(sweep) / "sweep.json", {"stages": {one.key: {"label": one.label} for one in named}})
    store.list_stages(sweep, named)
