"""A whole stage on two processes that share the model: one that runs out of memory, one that is killed, and a request
to stop, after which a single process goes on."""

import dataclasses
import json
import logging

import numpy as np
import pytest

from tests.setups import cell
from tests.tiny import sentences, tiny_llama
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Full
from w2s_sweep.config.model import Model
from w2s_sweep.config.source import LocalSource
from w2s_sweep.predictions import FILE, read_predictions
from w2s_sweep.runner.context import RunSettings
from w2s_sweep.runner.pack import Pack, run_pack
from w2s_sweep.sources import identify
from w2s_sweep.store import Store, read_jsonl
from w2s_sweep.store.files import read_json, write_json

FAULT = '''"""The third step of the second process: too little memory, and with half as large passes a kill."""
import os, signal
import torch
from w2s_sweep.losses.cross_entropy import CrossEntropy

plain, calls = CrossEntropy.__call__, []


def faulty(self, logits, labels, progress):
    calls.append(progress)
    if os.environ.get("W2S_RANK") == "1" and len(calls) == 3:
        if os.environ["FAULT"] == "memory" and os.environ["W2S_HALVED"] == "0":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if os.environ["FAULT"] == "memory":
            os.kill(os.getpid(), signal.SIGKILL)
    return plain(self, logits, labels, progress)


CrossEntropy.__call__ = faulty
'''


@pytest.fixture(scope="module")
def ceiling(tmp_path_factory):
    """The ceiling of a cell, the data that it reads, and a module that makes its second process fail."""
    folder = tmp_path_factory.mktemp("ranks")
    texts = [json.dumps({"sentence": text, "label": i % 2}) for i, text in enumerate(sentences(60))]
    (folder / "rows.jsonl").write_text("\n".join(texts))
    (folder / "fault.py").write_text(FAULT)
    source = LocalSource(path=str(tiny_llama(folder / "model")))
    model = Model(name="tiny", source=source, params=30_000, layers=2, hidden=32)
    data = Dataset(
        name="rows", task="sst2", source=LocalSource(path=str(folder / "rows.jsonl")), max_tokens=24, balance="none"
    )
    finetune = Full(lr=1e-3, epochs=40, batch_size=8, precision="fp32")
    small = dataclasses.replace(cell(finetune=finetune), dataset=data, weak=model, strong=model)
    graph = merge([small], identify)
    key = graph.roles[0].ceiling
    assert key is not None
    stage = graph.stages[key]
    return folder, graph.stages[stage.inputs["data"]], stage


class Run:
    """The stage in a store of its own."""

    def __init__(self, ceiling, folder):
        self.folder, self.data, self.stage = ceiling
        self.store, self.spec = Store(folder / "store"), folder / "spec.json"
        self.store.prepare()
        self.stages = [self.data, self.stage]
        plain = {"store": str(self.store.root), "modules": [str(self.folder / "fault.py")], "run": {"threads": 1}}
        write_json(self.spec, plain | {"stages": [one.to_json() for one in self.stages]})

    def go(self, stop=lambda: False):
        pack = Pack(self.store, self.stages, RunSettings(threads=1), spec=self.spec)
        return run_pack(pack, stop)[self.stage.key]

    @property
    def failure(self):
        return (read_json(self.store.work(self.stage.key) / "failure.json") or {}).get("error", "")

    @property
    def log(self):
        return (self.store.work(self.stage.key) / "log.txt").read_text()

    @property
    def result(self):
        folder = self.store.path(self.stage.key)
        return read_predictions(folder / FILE).logits, read_json(folder / "summary.json") or {}


@pytest.mark.slow
def test_one_of_two_processes_fails_or_all_are_asked_to_stop(ceiling, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)  # what is not logged is in no log file
    alone = Run(ceiling, tmp_path / "alone")
    assert alone.go() == "done"
    expected, summary = alone.result
    assert summary["processes"] == 1

    monkeypatch.setenv("W2S_RANKS", "2")
    run = Run(ceiling, tmp_path / "two")
    monkeypatch.setenv("FAULT", "memory")
    assert run.go() == "failed"
    assert "all 2 processes begin anew from what is kept, with half as large passes: out of memory on one" in run.log
    assert "of the 2 processes that compute it, 1 (SIGKILL) died" in run.failure

    monkeypatch.setenv("FAULT", "none")
    curve = run.store.work(run.stage.key) / "metrics.jsonl"
    assert run.go(stop=lambda: curve.is_file() and len(read_jsonl(curve)) > 3) == "preempted"
    saved = int(run.log.rsplit("checkpoint after step ", 1)[1].split()[0])
    assert saved >= 4
    monkeypatch.delenv("W2S_RANKS")
    assert run.go() == "done"
    assert f"training begins after step {saved}" in (run.store.path(run.stage.key) / "log.txt").read_text()
    np.testing.assert_allclose(run.result[0], expected, atol=1e-2)
