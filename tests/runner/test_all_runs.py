"""A stage that takes up what an earlier run has kept counts the time of that run, wherever it kept it, and once."""

import json
import threading
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.setups import cell, identify
from w2s_sweep.cells.merge import merge
from w2s_sweep.runner.context import ALL_RUNS, Context, RunSettings, seconds_of
from w2s_sweep.runner.forward_passes import KeptPasses
from w2s_sweep.stages.annotate import SearchCheckpoint
from w2s_sweep.stages.finetune import refer
from w2s_sweep.stages.sample import draw
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.training.coherence import SearchState
from w2s_sweep.training.kept import KEPT


def passes(context, name="checkpoint"):
    save_file(
        {"values": np.zeros((2, 1), np.float32), "done": np.array([True, False])}, context.work / f"{name}.safetensors"
    )
    KeptPasses(context, name).begin(2, 1)


def annotate(context):
    state = {
        field.name: np.zeros(2 if field.name in ("signs", "odds", "found") else ()) for field in fields(SearchState)
    }
    save_file(state, context.checkpoint)
    assert SearchCheckpoint(context, 4).read(2) is not None


def sampled(context):
    (context.work / KEPT).write_text(json.dumps({"a": [["x", True]]}))
    assert draw(context, SimpleNamespace(), SimpleNamespace(rows=[[1]]), {0: "a"}, 8) == {0: [("x", True)]}


def referred(context):
    save_file({"reference": np.zeros((1, 2), np.float32)}, context.work / "reference.safetensors")
    refer(context, SimpleNamespace(ranks=SimpleNamespace(agree=bool), device="cpu"), [0])


def trained(context):
    context.on_resume(2)


def from_the_beginning(context):
    context.on_resume(0)
    KeptPasses(context).begin(2, 1)
    assert SearchCheckpoint(context, 4).read(2) is None


@pytest.fixture
def context(tmp_path):
    graph = merge([cell()], identify)
    store = Store(tmp_path / "store")
    store.prepare()
    out = tmp_path / "out"
    out.mkdir()
    found = Context(store, graph.stages[graph.roles[0].student], out, RunSettings(), lambda: False, threading.Event())
    write_json(found.work / "progress.json", {"step": 2, "total": 4, "seconds": 100.0, "earlier": 20.0})
    return found


def end(context):
    context.finish({})
    return read_json(context.out / "summary.json")


@pytest.mark.parametrize("take_up", [passes, annotate, sampled, referred, trained])
def test_what_is_taken_up_brings_its_time_once(context, take_up):
    take_up(context)
    context.progress(3, 4)
    assert read_json(context.work / "progress.json")["earlier"] == 120.0
    passes(context, "answers")  # as annotate does after its search
    found = end(context)
    assert found["seconds"] < 60
    assert found[ALL_RUNS] == pytest.approx(120.0 + found["seconds"], abs=0.01)
    assert seconds_of(found) == found[ALL_RUNS]


def test_a_stage_that_begins_anew_has_its_own_time_alone(context):
    from_the_beginning(context)
    context.progress(1, 4)
    passes(context, "answers")  # progress.json is this run's own by now
    found = end(context)
    assert ALL_RUNS not in found
    assert seconds_of(found) == found["seconds"]


@pytest.mark.parametrize(("summary", "seconds"), [({}, None), ({"seconds": "long"}, None), ({"seconds": 3}, 3.0)])
def test_a_summary_says_what_a_stage_took(summary, seconds):
    assert seconds_of(summary) == seconds
