"""A cell that runs in this process, in a store of its own."""

import threading

from w2s_sweep.cells.merge import merge
from w2s_sweep.predictions import read_predictions
from w2s_sweep.runner.context import Context, RunSettings
from w2s_sweep.runner.pack import Pack, run_pack
from w2s_sweep.sources import identify
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json


class Once:
    """The stages of a cell in a store of its own."""

    def __init__(self, folder, cell, **settings):
        self.store, self.graph = Store(folder / "store"), merge([cell], identify)
        self.store.prepare()
        self.settings = RunSettings(threads=1, **settings)

    def run(self, stop=lambda: False):
        pack = Pack(self.store, list(self.graph.stages.values()), self.settings)
        return run_pack(pack, stop)

    def ran(self):
        outcomes = self.run()
        failures = [read_json(self.store.work(key) / "failure.json") for key in outcomes]
        assert set(outcomes.values()) == {"done"}, failures
        return self

    def predictions(self, role):
        return read_predictions(self.store.path(getattr(self.graph.roles[0], role)) / "predictions.parquet")

    def context(self, kind):
        stage = next(stage for stage in self.graph.stages.values() if stage.kind == kind)
        return Context(self.store, stage, self.store.root, self.settings, lambda: False, threading.Event())
