"""The W&B mirror against a server that counts rows, with the real client: every curve exactly once, whatever fails."""

from pathlib import Path

import pytest

from tests.results_store import NAME, Shape, build
from tests.tracking.server import WandbServer
from w2s_sweep.results.collect import collect
from w2s_sweep.results.outcome import outcome_of
from w2s_sweep.store import Store
from w2s_sweep.tracking import Sent, make_tracker
from w2s_sweep.tracking.wandb.session import run_id

ONLINE = {"name": "wandb", "project": "p", "entity": None, "mode": "online"}
ROWS = 5
"""Of every curve of the made-up store."""


def send(store: Store, force: bool = False, **settings: object) -> Sent:
    results = collect(store, NAME)
    tracker = make_tracker(ONLINE | settings, NAME, store.sweep(NAME))
    return tracker.send(outcome_of(store, results), force)


def curves(server: WandbServer, store: Store) -> list[int]:
    """Rows that the server has of supervisor, student and ceiling."""
    row = collect(store, NAME).rows[0]
    return [len(server.run(run_id("stage", key)).history) for key in (row.weak_key, row.student_key, row.ceiling_key)]


def test_t(server, tmp_path):
    store = build(tmp_path, Shape())
    print(send(store))
    print(curves(server, store))
    for r in server.runs.values(): print(r)
    print(send(store)); print(server.calls)
    print(send(store, force=True)); print(server.calls)
