"""Rows without truth are part of half B: counted, never tested on or learnt from as truth."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from tests.once import Once
from tests.setups import cell, data_settings
from tests.tiny import tiny_llama
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.config.ceiling import Ceiling
from w2s_sweep.config.dataset import Dataset, Partition
from w2s_sweep.config.finetune import Probe
from w2s_sweep.config.model import Model
from w2s_sweep.config.plain import plain
from w2s_sweep.config.source import LocalSource
from w2s_sweep.config.supervisor import Supervisor
from w2s_sweep.data.examples import build_examples
from w2s_sweep.data.show import describe
from w2s_sweep.data.split import assign
from w2s_sweep.errors import ConfigError, DataError
from w2s_sweep.launch.prepare import _require_truth, tell_examples
from w2s_sweep.launch.record import keys_by_role
from w2s_sweep.methods.ground_truth_budget import GroundTruthBudget
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.results.collect import collect
from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.training.examples import load_rows, soft_labels

GOOD, BAD = "the film was good", "the film was bad"


def rows(count, labelled):
    """Texts with a label, and from `labelled` on without one, said in every way that a file can."""
    none = ({"label": None}, {}, {"label": ""}, {"label": -1}, {"label": "-1"})
    made = [{"text": f" {(BAD, GOOD)[i % 2]} {i}", "label": i % 2} for i in range(count)]
    return [row if i < labelled else {"text": row["text"]} | none[i % 5] for i, row in enumerate(made)]


def write(folder, labelled):
    folder.mkdir()
    found = {"train": rows(48, labelled), "test": rows(80, 80)[48:]}
    for name, part in found.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    return folder


def built(folder, **change):
    known = {"task": "text_label", "test_split": "test", "unlabelled": "half_b"}
    return build_examples(data_settings(**(known | change)), folder)


PARTITION = Partition(seed=0, validation=0.1, test=0.25)


def test_a_second_half_whose_labels_are_held_back_is_all_of_half_b(tmp_path):
    """As a server does it: halves that files fix, of which the second has no truth."""

    def put(name, labels):
        rows = [
            {"question": f"{name} {i // 2}", "choice": f"answer {i % 2}", "label": one} for i, one in enumerate(labels)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    for name, labels in (("label", [0, 1] * 20), ("unlabel", [-1, None] * 15), ("test", [0, 1] * 8)):
        put(name, labels)
    known = {"task": "jsonl_triplet", "train_split": "label+unlabel", "test_split": "test", "balance": "none"}
    table = built(tmp_path, **known)
    parts = assign(table, PARTITION)
    assert {part: int((parts == part).sum()) for part in sorted({*parts.tolist()})} == {
        "half_a": 36, "half_b": 30, "test": 16, "validation": 4
    }  # fmt: skip
    assert {*np.array(table["label"])[parts == "half_b"].tolist()} == {-1}
    put("unlabel", [-1, None] * 10 + [0, 1] * 5)  # some are known: they are of half B too, and of validation
    parts = assign(built(tmp_path, **known), PARTITION)
    assert int((parts == "half_b").sum()) > 20
    put("unlabel", [-1] * 10)
    with pytest.raises(DataError, match=r"held back, set dataset.unlabelled=half_b"):
        built(tmp_path, **known, unlabelled="leave_out")


def test_rows_without_a_label_are_all_in_half_b_and_the_others_are_divided_as_if_these_were_not_there(tmp_path):
    folder = write(tmp_path / "some", 24)
    table = built(folder)
    (tmp_path / "alone").mkdir()
    for name, part in {"train": rows(24, 24), "test": rows(80, 80)[48:]}.items():
        (tmp_path / "alone" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    alone = built(tmp_path / "alone", unlabelled="leave_out")
    parts, labels = assign(table, PARTITION), table["label"].to_numpy()
    assert (labels < 0).sum() == 24
    assert set(parts[labels < 0]) == {"half_b"}
    without = dict(zip(alone["id"].to_pylist(), assign(alone, PARTITION).tolist(), strict=True))
    assert {n: p for n, p in zip(table["id"].to_pylist(), parts.tolist(), strict=True) if n in without} == without
    text = describe(table, parts.tolist())
    assert "no label" in text
    assert "label -1" not in text


def test_a_text_of_the_test_set_is_not_learnt_from_without_its_label_either(tmp_path):
    folder = write(tmp_path / "some", 24)
    with (folder / "train.jsonl").open("a") as file:
        file.write(json.dumps({"text": f" {BAD} 50", "label": None}) + "\n")
    assert f" {BAD} 50" not in built(folder).filter(pa.compute.less(built(folder)["label"], 0))["text"].to_pylist()


def test_training_rows_may_all_be_without_a_label(tmp_path):
    table = built(write(tmp_path / "none", 0))
    assert set(assign(table, PARTITION)) == {"half_b", "test"}
    named = built(tmp_path / "none", labels=("0", "1"), columns=(("label", "label"),))
    assert named["label"].to_pylist() == table["label"].to_pylist()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    model = Model(
        name="tiny", source=LocalSource(path=str(tiny_llama(folder / "model"))), params=10_000, layers=2, hidden=32
    )
    said = folder / "gpt.jsonl"
    labels = [{"text": row["text"], "probability": 0.9 if GOOD in row["text"] else 0.2} for row in rows(80, 80)]
    said.write_text("".join(json.dumps(row) + "\n" for row in labels))
    return folder, cell(
        weak=None, strong=model, supervisor=Supervisor(labels=str(said)), finetune=Probe(epochs=3, precision="fp32")
    )


def dataset(folder, labelled):
    path = write(folder / f"rows{labelled}", labelled) if not (folder / f"rows{labelled}").exists() else None
    source = LocalSource(path=str(path or folder / f"rows{labelled}"))
    return Dataset(name="own", task="text_label", source=source, test_split="test", unlabelled="half_b", max_tokens=24)


def results_of(once, made):
    """The results of a cell that ran, from the record of its sweep."""
    stages = {
        key: {"label": s.label, "kind": s.kind, "role": s.hints.role, "inputs": dict(s.inputs)}
        for key, s in once.graph.stages.items()
    }
    entry = {"overrides": [], "cell": plain(made), "roles": keys_by_role(once.graph.roles[0])}
    record = {"name": "mine", "command": [], "settings": {}, "stages": stages, "sources": [], "cells": [entry]}
    write_json(once.store.sweep("mine") / "sweep.json", record)
    return collect(once.store, "mine")


def test_without_any_truth_in_half_b_there_is_no_ceiling_and_the_results_say_so(tmp_path, base):
    folder, one = base
    made = replace(one, dataset=dataset(folder, 0), ceiling=Ceiling(skip=True))
    once = Once(tmp_path, made).ran()
    assert read_json(once.store.path(once.graph.roles[0].student) / "summary.json")["examples"] == 48
    (row,) = (results := results_of(once, made)).rows
    assert (row.state, row.ceiling.value, row.pgr.value, row.ceiling_key) == ("done", None, None, "")
    assert row.unidentified == "no value, no ceiling was trained (ceiling.skip)"
    assert row.weak.value == 1.0
    assert 0 <= row.details["agreement"].value <= 1
    assert results.groups[0].unidentified == row.unidentified
    data = next(stage for stage in once.graph.stages.values() if stage.kind == "data")
    told = tell_examples(read_json(once.store.path(data.key) / "summary.json"))
    assert "48 without a label, all in half B" in told


def test_a_ceiling_learns_the_truth_that_half_b_has_and_is_refused_where_it_has_none(tmp_path, base):
    folder, one = base
    once = Once(tmp_path, replace(one, dataset=dataset(folder, 24))).ran()
    found = {
        role: read_json(once.store.path(getattr(once.graph.roles[0], role)) / "summary.json")["examples"]
        for role in ("student", "ceiling")
    }
    data = next(stage for stage in once.graph.stages.values() if stage.kind == "data")
    read = load_rows(once.store.path(data.key), PARTITION)
    half_b = read.truth[read.on("half_b")]
    assert found == {"student": len(half_b), "ceiling": int((half_b >= 0).sum())}
    assert np.isnan(soft_labels(read, None)).all(1).sum() == 24
    bare = replace(read, truth=np.where(read.splits == "half_b", -1, read.truth))
    ceiling = once.graph.stages[once.graph.roles[0].ceiling]
    with pytest.raises(ConfigError, match=r"no row of half_b has a label. Set ceiling.skip=true"):
        _require_truth(bare, ceiling, [ceiling])
    _require_truth(read, ceiling, [ceiling])


def test_what_spends_the_truth_of_half_b_is_refused_and_no_key_changes_without_such_rows(base):
    folder, one = base
    own = dataset(folder, 24)
    (problem,) = problems_of(replace(one, dataset=own, method=GroundTruthBudget()))
    assert "method=ground_truth_budget reads the truth of half B" in problem
    (problem,) = problems_of(replace(one, dataset=replace(own, task="sciq")))
    assert "no column label" in problem
    assert problems_of(replace(one, dataset=own)) == []


def test_no_ceiling_is_trained_or_prompted_where_it_is_to_be_left_out():
    from tests.setups import identify
    from w2s_sweep.cells.merge import merge

    for method in ({}, {"method": Prompting(ceiling="prompted", shots=4)}):
        graph = merge([cell(ceiling=Ceiling(skip=True), **method)], identify)
        assert graph.roles[0].ceiling is None
        assert "ceiling" not in {stage.hints.role for stage in graph.stages.values()}
    assert Ceiling(skip=True).values_tried() == {}
