"""Runs a finished stage again in this process, with a stop on the way."""

import logging
from pathlib import Path

from w2s_sweep.plan.stage import Stage
from w2s_sweep.runner.context import RunSettings
from w2s_sweep.runner.pack import Pack, run_pack
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json


def planned(store: Store, key: str) -> Stage:
    """The stage `key` as a job file of the store holds it."""
    specs = [read_json(path) or {} for path in sorted(store.root.glob("sweeps/*/jobs/pack-*.json"))]
    return next(Stage.from_json(stage) for spec in specs for stage in spec["stages"] if stage["key"] == key)


def alone(store: Store, key: str, folder: Path) -> Pack:
    """A stage to be run in a store of its own, with the inputs that it has in `store`."""
    stage, again = planned(store, key), Store(folder / "store")
    again.prepare()
    for name in stage.inputs.values():
        again.path(name).symlink_to(store.path(name))
    return Pack(again, [stage], RunSettings(threads=1))


def stopped_and_resumed(store: Store, key: str, folder: Path, steps: int, caplog) -> Path:
    """The result of a stage that was asked to stop after so many steps and then went on, in a store of its own."""
    pack = alone(store, key, folder)
    again = pack.store
    curve = again.work(key) / "metrics.jsonl"

    def stop():
        return curve.is_file() and len(curve.read_text().splitlines()) >= steps

    with caplog.at_level(logging.INFO):
        assert run_pack(pack, stop)[key] == "preempted"
        assert run_pack(pack, lambda: False)[key] == "done"
    assert f"training begins after step {steps}" in caplog.messages
    return again.path(key)
