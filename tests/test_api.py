"""From Python: tables equal the files, predictions equal the stored ones, errors are exceptions that say what to do."""

import csv
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure

import w2s_sweep as w2s
from tests.results_store import LOSSES, NAME, Shape, build
from w2s_sweep.errors import CompositionError, ConfigError, StageFailed, StoreError
from w2s_sweep.predictions import TEXTS_SCHEMA, curve_schema, read_predictions, schema
from w2s_sweep.results.collect import collect
from w2s_sweep.results.tables import page
from w2s_sweep.results.tables.columns import (
    cell_columns,
    comparison_columns,
    curve_columns,
    group_columns,
    known_details,
    usage_columns,
)
from w2s_sweep.results.tables.files import export
from w2s_sweep.store.files import write_json

ROOT = Path(__file__).parent.parent
FAILED = "student w14 s410 boolq 1 0"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with two losses on two tasks; one student failed, one ceiling is missing."""
    shape = Shape(losses=LOSSES[:2], datasets=("sciq", "boolq"), seeds=(0, 1), n_test=40, failed=(FAILED,))
    store = build(tmp_path_factory.mktemp("api") / "store", shape)
    record = store.read_sweep(NAME)
    write_json(store.sweep("other") / "sweep.json", record | {"name": "other", "cells": record["cells"][-1:]})
    return store


@pytest.fixture(scope="module")
def sweep(store):
    return w2s.load(NAME, store=store.root)


@pytest.fixture(scope="module")
def files(store, tmp_path_factory):
    return export(collect(store, NAME), tmp_path_factory.mktemp("tables"))


def test_the_tables_are_those_of_the_files(sweep, files):
    for table, path in ((sweep.cells, "parquet"), (sweep.groups, "groups"), (sweep.comparisons, "comparisons")):
        assert table.num_rows > 1
        assert table.equals(pq.read_table(files[path]))
    assert sweep.curves.equals(pq.read_table(files["curves"]))
    for name in ("groups", "comparisons", "curves"):
        head = csv.DictReader(files[f"{name}.csv"].read_text().splitlines()).fieldnames
        assert head == pq.read_schema(files[name]).names
    rows = list(csv.DictReader(files["csv"].read_text().splitlines()))
    assert list(rows[0]) == sweep.cells.column_names
    assert [float(row["student"]) if row["student"] else None for row in rows] == sweep.cells["student"].to_pylist()


def test_the_page_and_the_files_have_the_columns_that_the_code_declares(sweep, files):
    assert (ROOT / "docs" / "COLUMNS.md").read_text() == page.page(), f"run: {page.COMMAND}"
    details = list(dict.fromkeys(name for row in sweep.results.rows for name in row.details))
    assert set(details) < set(known_details())
    declared = {
        "parquet": cell_columns(details),
        "groups": group_columns(details),
        "comparisons": comparison_columns(),
        "curves": curve_columns(),
        "usage": usage_columns(),
    }
    for name, columns in declared.items():
        written = pq.read_schema(files[name])
        assert [(field.name, field.type) for field in written] == [(n, c.type) for c in columns for n in c.names]
        assert all(column.about.endswith(".") for column in columns)


def test_the_page_has_the_columns_of_stored_predictions(sweep):
    blocks = dict(block.split("\n", 1) for block in page.page().split("\n## "))
    for title, found in (
        ("Predictions", sweep.predictions(0, "weak").schema),
        ("Generated texts", TEXTS_SCHEMA),
        ("Predictions on the way", curve_schema(2)),
    ):
        lines = [line.split(" | ") for line in blocks[title].splitlines() if line.startswith("| `")]
        assert [line[0].strip("| `") for line in lines] == found.names
    assert sweep.predictions(0, "weak").schema == schema(2)


def test_types_do_not_depend_on_what_is_finished(tmp_path):
    shape = Shape(missing=("weak w14 sciq 0",))
    cells = w2s.load(NAME, store=build(tmp_path, shape).root).cells
    assert cells.schema.field("n_test").type == pa.int64()
    assert cells["n_test"].to_pylist() == [None]


def test_predictions_are_the_stored_ones(store, sweep):
    for role in ("weak", "student", "ceiling"):
        folder = sweep.stage(0, role)
        assert folder == store.path(sweep.key(0, role)) == store.path(sweep.cells[f"{role}_key"][0].as_py())
        found, stored = sweep.predictions(0, role), read_predictions(folder / "predictions.parquet")
        assert found["id"].to_pylist() == stored.ids.tolist()
        assert np.array_equal(np.stack(found["probs"].to_pylist()).astype(np.float32), stored.probs)


def test_several_sweeps_are_one(store, sweep):
    joined = w2s.load("other", NAME, store=store.root)
    assert joined.name == f"other + {NAME}"
    assert joined.cells.num_rows == sweep.cells.num_rows
    assert joined.roles(0) == sweep.roles(7)


def test_figures_are_those_of_the_report_and_leave_nothing_in_pyplot(sweep):
    figures = sweep.figures()
    assert {"medians", "pgr", "accuracy"} <= set(figures)
    assert all(isinstance(figure, Figure) for figure in figures.values())
    assert "matplotlib.pyplot" not in sys.modules or sys.modules["matplotlib.pyplot"].get_fignums() == []


@pytest.mark.parametrize("cell", [8, -1, "0", None])
def test_an_unknown_cell_is_named_with_those_there_are(sweep, cell):
    with pytest.raises(StoreError, match=rf"cell: {cell!r} .*Allowed: 0 to 7, .*`cell`"):
        sweep.stage(cell, "weak")


def test_an_unknown_role_is_named_with_those_there_are(sweep):
    with pytest.raises(StoreError, match=r"role: unknown name 'studnt'. Did you mean 'student'.*Allowed: .*choose one"):
        sweep.predictions(0, "studnt")


def test_a_stage_that_failed_says_why_and_what_to_do(sweep):
    cell = sweep.cells["state"].to_pylist().index("failed")
    assert sweep.key(cell, "student")
    with pytest.raises(StoreError, match=r"role: 'student' of cell .* the loss became nan.*w2s retry"):
        sweep.stage(cell, "student")


def test_an_unknown_sweep_and_a_folder_that_is_no_store_are_refused(store, tmp_path, monkeypatch):
    with pytest.raises(StoreError, match=rf"'nosuch'.*Sweeps there, newest first: .*{NAME}"):
        w2s.load("nosuch", store=store.root)
    with pytest.raises(StoreError, match=r"store: .* is not a store. Allowed: "):
        w2s.load(NAME, store=tmp_path)
    monkeypatch.setenv("W2S_STORE", str(store.root))
    assert w2s.load(NAME).name == NAME


@pytest.mark.slow
def test_importing_the_package_is_light_and_tells_what_it_has():
    code = (
        "import sys; import w2s_sweep as w2s;"
        "assert {'load', 'run', 'Sweep', '__version__'} == set(w2s.__all__) <= set(dir(w2s));"
        "print([m for m in ('torch', 'pyarrow', 'numpy', 'hydra', 'matplotlib') if m in sys.modules]);"
        "w2s.load; print([m for m in ('torch', 'transformers', 'wandb', 'matplotlib') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split("\n")[:2] == ["[]", "[]"]
    with pytest.raises(AttributeError, match="nosuch"):
        _ = w2s.nosuch


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, tiny_models, tiny_task):
    """Overrides of a tiny grid of two losses, and the store that it runs in."""
    folder = tmp_path_factory.mktemp("run") / "store"
    fast = ["finetune=full", "finetune.lr=0.003", "finetune.epochs=1", "threads=1", "tracker=none"]
    return folder, [f"store={folder}", "name=demo", *tiny_models, *tiny_task, *fast, "loss=xent,confidence"]


@pytest.fixture(scope="module")
def ran(tiny):
    before = list(sys.argv), dict(os.environ)
    sweep = w2s.run(tiny[1], multirun=True)
    assert (sys.argv, dict(os.environ)) == before
    return sweep


@pytest.mark.slow
def test_a_grid_runs_in_this_process_and_comes_back_loaded(tiny, ran):
    assert ran.store.root == tiny[0]
    assert ran.cells["state"].to_pylist() == ["done", "done"]
    assert ran.cells.equals(w2s.load("demo", store=tiny[0]).cells)
    assert ran.cells.equals(pq.read_table(tiny[0] / "sweeps" / "demo" / "table.parquet"))
    assert ran.results.record["command"][:3] == ["python", "launch.py", "-m"]


@pytest.mark.slow
def test_one_cell_is_a_sweep_too_and_nothing_is_trained_twice(tiny, ran):
    before = set(ran.store.keys())
    one = w2s.run([*tiny[1][:-1], "name=one", "loss=xent"])
    assert one.cells["student_key"].to_pylist() == [ran.key(0, "student")]
    assert set(ran.store.keys()) == before


@pytest.mark.slow
def test_what_cannot_run_is_an_exception(tiny, tmp_path):
    _, words = tiny
    with pytest.raises(ConfigError, match="unknown name 'xnt'"):
        w2s.run([*words[:-1], "loss=xnt"])
    with pytest.raises(CompositionError, match="a grid, which needs -m"):
        w2s.run(words)
    with pytest.raises(ConfigError, match=r"overrides: '-m'. Allowed: .*multirun=True"):
        w2s.run(["-m", *words])
    with pytest.raises(ConfigError, match=r"overrides: 'loss=xent'. Allowed: a list"):
        w2s.run("loss=xent")
    with pytest.raises(ConfigError, match="plan_only: true"):
        w2s.run([*words, f"store={tmp_path / 'new'}", "plan_only=true"], multirun=True)


@pytest.mark.slow
def test_failed_cells_are_an_exception_after_the_others_have_finished(tiny, tmp_path):
    words = "+strong.label_words=[' bad',' good'],[' nope',' nope']"
    asked = [*tiny[1][:-1], f"store={tmp_path}", "finetune=lora", "finetune.head_init=label_words", words]
    with pytest.raises(StageFailed, match="1 of 2 cells failed"):
        w2s.run([*asked, "weak.label_words=[' bad',' good']"], multirun=True)
    assert sorted(w2s.load("demo", store=tmp_path).cells["state"].to_pylist()) == ["done", "failed"]


@pytest.mark.slow
def test_the_notebook_runs(tiny, ran, monkeypatch, capsys):
    monkeypatch.setenv("W2S_STORE", str(tiny[0]))
    found = runpy.run_path(str(ROOT / "docs" / "notebook.py"))
    assert isinstance(found["figure"], Figure)
    known = ran.cells["correction"].to_pylist()[0]
    wrong = found["corrected"].num_rows + found["copied"].num_rows
    assert found["corrected"].num_rows / wrong == pytest.approx(known)
    assert "the student corrects" in capsys.readouterr().out
