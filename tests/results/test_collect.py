"""What is missing, failed or damaged touches its own cells alone; joined sweeps, medians and tables."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.results.printed import text_of
from tests.results_store import LOSSES, NAME, Shape, build, made_up, put_stage
from w2s_sweep.errors import StoreError
from w2s_sweep.results.answers import AnswersReader
from w2s_sweep.results.collect import collect
from w2s_sweep.results.join import origins
from w2s_sweep.results.labels import label_all, sorted_json
from w2s_sweep.results.tables.columns import columns_of
from w2s_sweep.results.tables.files import export
from w2s_sweep.results.tables.written import as_markdown
from w2s_sweep.store.files import write_json


def test_other_test_examples_are_refused_not_compared(tmp_path):
    store = build(tmp_path, Shape())
    (row,) = collect(store, NAME).rows
    store.quarantine(row.ceiling_key)
    truth = np.random.default_rng(0).integers(0, 2, 90)
    put_stage(store, row.ceiling_key, "other test set", made_up(truth, truth == truth))
    (other,) = collect(store, NAME).rows
    assert other.state == "failed"
    assert "10 only in weak, 0 only in ceiling, 90 in both" in other.note
    store.quarantine(row.ceiling_key)
    truth = 1 - np.random.default_rng(0).integers(0, 2, 100)
    put_stage(store, row.ceiling_key, "other truth", made_up(truth, truth == truth))
    assert "truth" in collect(store, NAME).rows[0].note


def test_missing_and_failed_stages_touch_only_their_cells(tmp_path):
    shape = Shape(
        seeds=(0, 1, 2), losses=LOSSES, failed=("student w14 s410 sciq 1 0",), missing=("ceiling s410 sciq 2",)
    )
    results = collect(build(tmp_path, shape), NAME)
    states = [row.state for row in results.rows]
    assert (states.count("done"), states.count("failed"), states.count("missing")) == (5, 1, 3)
    failed = next(row for row in results.rows if row.state == "failed")
    assert failed.note == "student: W2SError: the loss became nan"
    assert next(row for row in results.rows if row.state == "missing").note == "ceiling not finished"
    assert [g.seeds for g in results.groups] == [(0, 1), (1,), (0, 1)]
    assert "2/3" in text_of(results)


def test_a_stage_that_waits_for_a_failed_input_says_so(tmp_path):
    store = build(tmp_path, Shape(missing=("student w14 s410 sciq 0 0",)))
    record = store.read_sweep(NAME)
    student = record["cells"][0]["roles"]["student"]
    record["stages"]["f" * 20] = {"label": "features s410 sciq", "kind": "features", "role": None}
    record["stages"][student]["inputs"] = {"features": "f" * 20}
    write_json(store.sweep(NAME) / "sweep.json", record)
    write_json(store.work("f" * 20) / "failure.json", {"error": "ModelError: no weights"})
    (row,) = collect(store, NAME).rows
    assert (row.state, row.note) == ("failed", "student (its input features s410 sciq): ModelError: no weights")


def test_damaged_predictions_fail_their_cell_with_the_path(tmp_path):
    store = build(tmp_path, Shape())
    (row,) = collect(store, NAME).rows
    path = store.path(row.weak_key) / "predictions.parquet"
    path.write_bytes(b"x" * path.stat().st_size)
    (row,) = collect(store, NAME).rows
    assert row.state == "failed"
    assert f"{path.parent} cannot be used: predictions.parquet was changed" in row.note


@pytest.mark.slow
def test_predictions_are_read_once_however_many_cells_use_them(tmp_path, monkeypatch):
    read: list[str] = []
    real = AnswersReader.answers
    monkeypatch.setattr(
        AnswersReader, "answers", lambda self, path, content: read.append(path.parent.name) or real(self, path, content)
    )
    results = collect(build(tmp_path, Shape(weak=("w14", "w70"), losses=LOSSES, seeds=(0, 1))), NAME)
    assert len(results.rows) == 12
    assert len(read) == len(set(read)) == 4 + 2 + 12


@pytest.mark.slow
def test_groups_and_medians(tmp_path):
    results = collect(build(tmp_path, Shape(datasets=("sciq", "boolq"), seeds=(0, 1), losses=LOSSES[:2])), NAME)
    assert [(g.dataset, g.loss, g.seeds) for g in results.groups] == [
        (dataset, loss, (0, 1)) for dataset in ("sciq", "boolq") for loss in ("xent", "confidence")
    ]
    assert [(m.loss, m.tasks, m.unidentified) for m in results.medians] == [("xent", 2, 0), ("confidence", 2, 0)]
    assert all(m.pgr.value == pytest.approx(0.5) for m in results.medians)


@pytest.mark.slow
def test_medians_leave_out_tasks_without_a_pgr_and_say_why(tmp_path):
    store = build(tmp_path, Shape(datasets=("sciq", "boolq", "wic"), seeds=(0, 1)))
    for row in collect(store, NAME).rows:
        if row.dataset == "wic":
            store.quarantine(row.ceiling_key)
            truth = np.random.default_rng(row.seed).integers(0, 2, 100)
            put_stage(store, row.ceiling_key, "worse ceiling", made_up(truth, np.arange(100) < 50 + row.seed))
    (median,) = collect(store, NAME).medians
    assert (median.tasks, median.unidentified) == (2, 1)
    assert (median.pgr.value, median.pgr.low) == (pytest.approx(0.5), None)  # two tasks have no interval
    assert median.reasons == {"the ceiling is worse than the weak supervisor": 1}
    assert "1 | 1 task: the ceiling is worse" in as_markdown(collect(store, NAME))


def test_joined_sweeps_are_one_table_with_shared_cells_once(tmp_path):
    store = build(tmp_path, Shape(losses=LOSSES[:2]))
    record = store.read_sweep(NAME)
    other = record | {"name": "other", "cells": record["cells"][1:], "command": ["launch.py", "other=1"]}
    write_json(store.sweep("other") / "sweep.json", other)
    joined = collect(store, "other", NAME)
    assert [row.loss for row in joined.rows] == ["confidence", "xent"]
    assert joined.sweep == f"other + {NAME}"
    assert [origin["command"][1] for origin in origins(joined.record)] == ["other=1", "-m"]
    assert collect(store, NAME, NAME).rows == collect(store, NAME).rows


@pytest.mark.slow
def test_collecting_is_idempotent_and_order_of_cells_is_kept(tmp_path):
    store = build(tmp_path, Shape(seeds=(1, 0), losses=LOSSES))
    first, again = collect(store, NAME), collect(store, NAME)
    assert first.rows == again.rows
    assert [row.cell for row in first.rows] == list(range(6))
    assert [row.seed for row in first.rows] == [1, 1, 1, 0, 0, 0]


def test_labels_tell_apart_only_what_differs():
    confidence = [{"name": "confidence", "a": 0.5, "b": 1}, {"name": "confidence", "a": 0.75, "b": 1}, {"name": "xent"}]
    labels = label_all(confidence)
    assert [labels[sorted_json(s)] for s in confidence] == ["confidence(a=.5)", "confidence(a=.75)", "xent"]
    assert list(label_all(confidence[1:]).values()) == ["confidence", "xent"]
    nested = [{"name": "m", "source": {"kind": "hub", "revision": r}} for r in ("main", "step1000")]
    assert set(label_all(nested).values()) == {"m(revision=main)", "m(revision=step1000)"}


def test_tables_on_disk_hold_every_cell_and_its_keys(tmp_path):
    store = build(tmp_path, Shape(seeds=(0, 1), missing=("ceiling s410 sciq 1",)))
    results = collect(store, NAME)
    paths = export(results, store.sweep(NAME))
    table = pq.read_table(paths["parquet"]).to_pydict()
    assert table["pgr"] == [pytest.approx(0.5), None]
    assert table["state"] == ["done", "missing"]
    assert table["ceiling_key"] == [row.ceiling_key for row in results.rows]
    lines = paths["csv"].read_text().splitlines()
    assert len(lines) == 3
    assert lines[0].split(",") == list(table)
    assert "NaN" not in paths["csv"].read_text()
    assert "| xent | 1/2 | .600 | .700 | .800 | .200 [" in paths["md"].read_text()
    content = json.loads(paths["json"].read_text())
    assert [cell["student_key"] for cell in content["cells"]] == table["student_key"]
    assert content["groups"][0]["pgr"]["value"] == pytest.approx(0.5)
    assert content["sweeps"][0]["command"] == results.record["command"]


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_terminal_table_fits_100_columns_without_colour(tmp_path, seeds):
    shape = Shape(weak=("w14", "w70"), strong=("s410", "s1000"), losses=LOSSES, seeds=seeds, datasets=("sciq", "boolq"))
    text = text_of(collect(build(tmp_path, shape), NAME))
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    assert "w14 → s410" in text
    assert "confidence(alpha_max=.75)" in text


def test_an_unknown_sweep_is_named_with_those_there_are(tmp_path):
    store = build(tmp_path, Shape())
    with pytest.raises(StoreError, match=NAME):
        collect(store, "other")


def test_rows_are_plain_enough_for_json(tmp_path):
    (row,) = collect(build(tmp_path, Shape()), NAME).rows
    assert json.loads(json.dumps(columns_of([row]), allow_nan=False))["pgr"] == [pytest.approx(0.5)]
