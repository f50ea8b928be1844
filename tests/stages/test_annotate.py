"""Labels found in context by a real, if tiny, language model: what it is shown, what is published, and going on."""

import itertools
import logging
from dataclasses import replace

import numpy as np
import pytest

from tests.command import launch
from w2s_sweep import sources
from w2s_sweep.cells.merge import merge
from w2s_sweep.kinds import TRAINED
from w2s_sweep.launch.examples import composed_cell
from w2s_sweep.methods.icm import Icm
from w2s_sweep.predictions import read_predictions
from w2s_sweep.runner.context import RunSettings
from w2s_sweep.runner.pack import Pack, run_pack
from w2s_sweep.store import Store
from w2s_sweep.training.examples import load_rows

WORDS = ["finetune=full", "dataset.prompt.words=[' bad',' good']"]
SHORT = Icm(rows=8, start=4, steps=40)


def ran(store, stages, stop=lambda: False):
    return run_pack(Pack(store, stages, RunSettings(threads=1)), stop)


def prepared(folder, tiny_models, tiny_task, method=SHORT):
    """(store with the data, data stage, annotate stage)."""
    cell, _ = composed_cell([*tiny_models, *tiny_task, *WORDS, "method=icm"])
    stages = merge([replace(cell, method=method)], sources.identify).stages.values()
    (data,), (stage,) = ([s for s in stages if s.kind == kind] for kind in ("data", "annotate"))
    assert sum(s.kind in TRAINED for s in stages) == 3
    store = Store(folder)
    store.prepare()
    assert ran(store, [data])[data.key] == "done"
    return store, data, stage


@pytest.mark.slow
@pytest.mark.parametrize(("folds", "harden"), [(None, True), (2, False)])
def test_half_b_validation_and_test_are_labelled_and_the_prompt_holds_what_was_found(
    tmp_path, tiny_models, tiny_task, folds, harden
):
    method = replace(SHORT, folds=folds, harden=harden)
    store, data, stage = prepared(tmp_path, tiny_models, tiny_task, method)
    assert ran(store, [stage])[stage.key] == "done"
    rows = load_rows(store.path(data.key), stage.settings.split)
    said = read_predictions(store.path(stage.key) / "predictions.parquet")
    assert set(said.ids) == set(rows.ids[rows.on("half_b", "validation", "test")])
    assert np.isnan(said.seen).all()
    certain = np.isin(np.round(said.probs[:, 1], 3), [0.0, 1.0])
    assert certain.all() if harden else 4 <= certain.sum() <= 8
    shown = (store.path(stage.key) / "prompt.txt").read_text()
    assert 4 <= shown.count("Sentiment: good") + shown.count("Sentiment: bad") <= 8


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_models, tiny_task):
    """The store of a search that nothing stopped."""
    store, _, stage = prepared(tmp_path_factory.mktemp("whole"), tiny_models, tiny_task)
    assert ran(store, [stage])[stage.key] == "done"
    return store


@pytest.mark.slow
@pytest.mark.parametrize("calls", [3, 20, 45])
def test_a_search_in_context_goes_on_where_it_was_stopped(tmp_path, whole, tiny_models, tiny_task, caplog, calls):
    stopped, _, stage = prepared(tmp_path, tiny_models, tiny_task)
    asked = itertools.count()
    assert ran(stopped, [stage], lambda: next(asked) >= calls)[stage.key] == "preempted"
    with caplog.at_level(logging.INFO):
        assert ran(stopped, [stage])[stage.key] == "done"
    assert ("goes on after step" in caplog.text) == (calls > 3)  # after the first step there is something to go on from
    files = [store.path(stage.key) / "predictions.parquet" for store in (whole, stopped)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.slow
def test_a_prompt_too_long_for_the_model_is_refused_when_the_sweep_is_submitted(tmp_path, tiny_models, tiny_task):
    argv = [f"store={tmp_path}", *tiny_models, *tiny_task, *WORDS, "threads=1", "tracker=none", "method=icm"]
    status, out, err = launch(*argv, "method.rows=60")
    assert status == 1
    assert "method.rows: 60 rows in one prompt have about" in err
    assert "tiny-strong has room for 256. Set method.rows=" in err
    assert "failed" not in out


@pytest.mark.slow
def test_rows_that_do_not_fit_into_one_prompt_are_refused_before_the_search(tmp_path, tiny_models, tiny_task, caplog):
    store, _, stage = prepared(tmp_path, tiny_models, tiny_task, replace(SHORT, rows=200))
    assert ran(store, [stage])[stage.key] == "failed"
    assert "Lower method.rows or dataset.max_tokens" in caplog.text
