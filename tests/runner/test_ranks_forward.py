"""Stages that only run a model forward, on two processes: what they write is what one process writes."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from benchmarks.card.made_up import TARGETS
from tests.setups import cell
from tests.sharded import together
from tests.tiny import sentences, tiny_llama
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Lora, Probe
from w2s_sweep.config.model import Model
from w2s_sweep.config.source import LocalSource
from w2s_sweep.methods.ccs import Ccs
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.models.forward_passes import Passes, over_rows
from w2s_sweep.models.ranks import this_process
from w2s_sweep.predictions import FILE, read_predictions
from w2s_sweep.runner.context import RunSettings
from w2s_sweep.runner.pack import Pack, run_pack
from w2s_sweep.runner.rank import Requests, run
from w2s_sweep.sources import identify
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json

FILES = {"features": "features.safetensors", "contrast": "contrast.safetensors", "prompt": "answers.safetensors"}
EVALUATE = "evaluate"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Stages of every kind in question, computed by this process, and the file that says them."""
    folder = tmp_path_factory.mktemp("forward")
    rows = {}
    for name, seed in (("films", 0), ("more", 1)):
        lines = [f'{{"sentence": "{text}", "label": {i % 2}}}\n' for i, text in enumerate(sentences(40, seed=seed))]
        (folder / f"{name}.jsonl").write_text("".join(lines))
        source = LocalSource(path=str(folder / f"{name}.jsonl"))
        rows[name] = Dataset(name=name, task="sst2", source=source, max_tokens=24, balance="none")
    source = LocalSource(path=str(tiny_llama(folder / "model")))
    tiny = Model(
        name="tiny", source=source, params=30_000, layers=2, hidden=32, lora_targets=TARGETS["llama"],
        label_words=("bad", "good"),
    )  # fmt: skip
    probe = cell(finetune=Probe(epochs=1, precision="fp32"), dataset=rows["films"], weak=tiny, strong=tiny)
    lora = Lora(lr=1e-3, epochs=1, batch_size=8, precision="fp32")
    cells = [
        cell(finetune=lora, dataset=rows["films"], weak=tiny, strong=tiny, tests=(rows["more"],)),
        cell(finetune=probe.finetune, dataset=rows["films"], weak=tiny, strong=tiny, method=Prompting(shots=2)),
        cell(finetune=probe.finetune, dataset=rows["films"], weak=tiny, strong=tiny, method=Ccs(tries=1, epochs=1)),
    ]
    stages = list(merge(cells, identify).stages.values())
    store = Store(folder / "store")
    store.prepare()
    pack = Pack(store, stages, RunSettings(threads=1, micro_batch_tokens=64))
    assert set(run_pack(pack, lambda: False).values()) == {"done"}
    spec = folder / "spec.json"
    plain = {"store": str(store.root), "modules": [], "run": {"threads": 1, "micro_batch_tokens": 64}}
    write_json(spec, plain | {"stages": [one.to_json() for one in stages]})
    first = {kind: next(s.key for s in stages if s.kind == kind) for kind in (*FILES, EVALUATE)}
    return SimpleNamespace(store=store, spec=spec, keys=first, folder=folder)


class Kept(Passes):
    """Three rows are known already."""

    def begin(self, rows, width):
        super().begin(rows, width)
        self.values[:3], self.done[:3] = 7.0, True


def squares():
    """Batches of unequal length, of which one is known; the last turn has work for one rank alone."""
    batches = [[0, 1, 2], [3, 4], [5], [6, 7, 8, 9]]
    found = over_rows(batches, 1, lambda rows: torch.tensor(rows, dtype=torch.float32)[:, None] ** 2, Kept())
    return {"found": found[:, 0].tolist(), "sum": this_process().total(1.0, this_process().rank)}


def computed(spec, out, *keys):
    """Every stage as a rank computes it, and squares."""
    for key in keys:
        mine = out / key / str(this_process().rank)
        mine.mkdir(parents=True)
        run(spec, key, mine, Requests(threading.Event(), threading.Event()), this_process())
    return squares()


@pytest.mark.slow
def test_what_two_processes_write_is_what_one_writes(done):
    for key in done.keys.values():
        done.store.work(key).mkdir(parents=True, exist_ok=True)
    found = together(2, computed, done.spec, done.folder / "out", *done.keys.values())
    assert found["found"] == [7, 7, 7, *(float(i * i) for i in range(3, 10))]
    assert found["sum"] == [2.0, 1.0]
    for kind, key in done.keys.items():
        alone, shared = done.store.path(key), done.folder / "out" / key / "0"
        one, two = (read_json(folder / "summary.json") for folder in (alone, shared))
        assert (one["processes"], two["processes"]) == (1, 2), kind
        if kind == EVALUATE:
            expected, found = (read_predictions(folder / FILE).logits for folder in (alone, shared))
            np.testing.assert_allclose(found, expected, atol=1e-5)
        else:
            assert (one["tokens"], one["padding"]) == (two["tokens"], two["padding"]), kind
            for name, values in load_file(alone / FILES[kind]).items():
                assert np.array_equal(load_file(shared / FILES[kind])[name], values), kind  # the same passes
