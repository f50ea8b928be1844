"""Stages of forward passes alone, without training: stopped anywhere, they go on where they were."""

import itertools
import logging
import re

import pytest

from w2s_sweep import sources
from w2s_sweep.cells.merge import merge
from w2s_sweep.launch.examples import composed_cell
from w2s_sweep.runner.context import RunSettings
from w2s_sweep.runner.pack import Pack, run_pack
from w2s_sweep.store import Store

ONE_BY_ONE = RunSettings(threads=1, micro_batch_tokens=1)


def stopped_and_resumed(store, stage, calls, caplog):
    """Run `stage` until it has asked so many times whether to stop, then to its end; returns the rows it kept."""
    asked = itertools.count()
    pack = Pack(store, [stage], ONE_BY_ONE)
    assert run_pack(pack, lambda: next(asked) >= calls)[stage.key] == "preempted"
    with caplog.at_level(logging.INFO):
        assert run_pack(pack, lambda: False)[stage.key] == "done"
    return int(re.findall(r"goes on after (\d+) of \d+ rows", caplog.text)[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "file", "words"),
    [
        ("features", "features.safetensors", ["finetune=probe"]),
        ("prompt", "answers.safetensors", ["finetune=full", "method=elicitation"]),
    ],
)
def test_a_stage_of_passes_goes_on_where_it_was_stopped(tmp_path, tiny_models, tiny_task, caplog, kind, file, words):
    cell, _ = composed_cell([*tiny_models, *tiny_task, "dataset.n_train=60", *words])
    stages = merge([cell], sources.identify).stages.values()
    data = next(s for s in stages if s.kind == "data")
    stage = next(s for s in stages if s.kind == kind and s.inputs["data"] == data.key and "labels" not in s.inputs)
    stores = [Store(tmp_path / name) for name in ("whole", "stopped")]
    for store in stores:
        store.prepare()
        assert run_pack(Pack(store, [data], ONE_BY_ONE), lambda: False)[data.key] == "done"
    assert run_pack(Pack(stores[0], [stage], ONE_BY_ONE), lambda: False)[stage.key] == "done"
    kept = stopped_and_resumed(stores[1], stage, 12, caplog)
    assert 0 < kept <= 12
    whole, again = (store.path(stage.key) / file for store in stores)
    assert again.read_bytes() == whole.read_bytes()
    assert not stores[1].work(stage.key).exists()
