"""Cells are read and scored in blocks: which ones stand together changes no number."""

from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.results_store import LOSSES, NAME, Shape, build, made_up
from w2s_sweep.errors import StoreError
from w2s_sweep.predictions import (
    CURVE,
    FILE,
    Evaluated,
    Predictions,
    read_curve,
    read_predictions,
    write_curve,
    write_predictions,
)
from w2s_sweep.results import cells
from w2s_sweep.results.answers import AnswersReader
from w2s_sweep.results.collect import collect, collect_record
from w2s_sweep.results.collected import Results
from w2s_sweep.results.estimate import Designs, estimate
from w2s_sweep.results.score import Batch, Measured

CURVES = ((0.5, 0.6, 0.6), (0.6, 0.7, 0.9))
SHAPE = Shape(losses=LOSSES[:2], seeds=(0, 1), datasets=("sciq", "boolq"), n_test=60, curve=CURVES)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory):
    return build(tmp_path_factory.mktemp("store"), SHAPE)


@pytest.fixture(scope="module")
def together(store) -> Results:
    return collect(store, NAME)


def same(found: object, expected: object) -> None:
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        assert list(found) == list(expected)
        for name in expected:
            same(found[name], expected[name])
    elif isinstance(expected, list | tuple):
        assert isinstance(found, list | tuple)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    else:
        assert found == (pytest.approx(expected, rel=1e-12, abs=1e-14) if isinstance(expected, float) else expected)


def test_a_cell_among_others_has_the_numbers_that_it_has_alone(store, together):
    record = store.read_sweep(NAME)
    alone = collect_record(store, record | {"cells": [record["cells"][5]]})
    labels = {"loss": "", "cell": 0}  # which say what tells the settings of a sweep apart
    same(asdict(together.rows[5]) | labels, asdict(alone.rows[0]) | labels)
    same([asdict(step) for step in together.steps[5]], [asdict(step) for step in alone.steps[0]])


def test_a_setting_in_a_block_of_its_own_has_the_same_numbers(store, together, monkeypatch):
    monkeypatch.setattr(cells, "BLOCK", 1)
    apart = collect(store, NAME)
    for part in ("rows", "groups", "curves", "comparisons", "medians"):
        same([asdict(one) for one in getattr(together, part)], [asdict(one) for one in getattr(apart, part)])
    assert together.steps == apart.steps
    assert together.reliability == apart.reliability


def test_a_student_of_several_cells_that_is_a_ceiling_too_has_its_curve_in_all_of_them(store):
    record = store.read_sweep(NAME)
    entry = record["cells"][0]
    other = {**entry, "cell": entry["cell"] | {"finetune": {"name": "full"}}}
    other["roles"] = entry["roles"] | {"ceiling": entry["roles"]["student"]}
    found = collect_record(store, record | {"cells": [entry, other]})
    assert [[step.student for step in found.steps[cell]] for cell in (0, 1)] == [[0.6, pytest.approx(0.7)]] * 2
    of_other = [p for p in found.curves if p.group == found.rows[1].group]
    assert [p.role for p in of_other] == ["weak"] * 2 + ["student"] * 2 + ["ceiling"] * 2
    assert [p.value for p in of_other[2:4]] == [p.value for p in of_other[4:]]


def test_a_metric_that_a_seed_lacks_is_of_the_other_seeds():
    random, groups = np.random.default_rng(0), [np.arange(20).astype(str), np.arange(20).astype(str)]
    values = [random.random((3, 2, 20)) for _ in groups]
    values[1][0, 1], values[1][2] = np.nan, np.nan  # of the second seed: a metric of one setting, all of another

    batches = [
        Batch(names, ("accuracy/weak", "auroc/weak"), found) for names, found in zip(groups, values, strict=True)
    ]
    found = estimate([[Measured(batch, place) for batch in batches] for place in range(3)], {}, Designs())
    first = estimate([[Measured(batches[0], place)] for place in range(3)], {}, Designs())
    assert found[0].means["auroc/weak"] == first[0].means["auroc/weak"]
    assert found[2].means == first[2].means
    assert found[0].means["accuracy/weak"] != first[0].means["accuracy/weak"]
    assert found[1].means["auroc/weak"].value == pytest.approx(np.mean([one[1, 1].mean() for one in values]))


def some(right: int, names: int = 30) -> Predictions:
    truth = np.random.default_rng(0).integers(0, 2, names).astype(np.int8)
    return made_up(truth, np.arange(names) < right)


def test_files_of_the_same_rows_share_what_is_read_of_them_and_others_do_not(tmp_path):
    files, found = AnswersReader(), []
    for name, predictions in (("a", some(10)), ("b", some(20)), ("c", some(20, 31))):
        write_predictions(tmp_path / name, predictions)
        found.append(files.answers(tmp_path / name, (tmp_path / name).read_bytes()))
        layout, probs = found[-1]
        expected = read_predictions(tmp_path / name, "test")
        assert layout.ids.tolist() == expected.ids.tolist()
        assert np.array_equal(layout.truth, expected.truth)
        assert np.array_equal(probs[layout.rows], expected.probs)
    assert found[0][0] is found[1][0]
    assert found[2][0] is not found[1][0]


def test_curves_are_read_as_they_were_written_and_share_their_ids(tmp_path):
    files, draw, ids = AnswersReader(), np.random.default_rng(0), np.array(["a", "b", "c"], dtype=object)
    curves = []
    for name in ("one", "other"):
        write_curve(tmp_path / name, [Evaluated(s, 9, ids, draw.random((3, 2), np.float32)) for s in (3, 9)])
        curves.append(files.curve(tmp_path / name, (tmp_path / name).read_bytes()))
        for found, expected in zip(curves[-1], read_curve(tmp_path / name), strict=True):
            assert (found.step, found.steps, found.ids.tolist()) == (expected.step, expected.steps, ["a", "b", "c"])
            assert np.array_equal(found.probs, expected.probs)
    assert curves[0][0].ids is curves[1][1].ids


def test_what_cannot_be_read_is_told_with_the_path(tmp_path):
    with pytest.raises(StoreError, match=str(tmp_path / FILE)):
        AnswersReader().answers(tmp_path / FILE, b"no parquet")
    with pytest.raises(StoreError, match=str(tmp_path / CURVE)):
        AnswersReader().curve(tmp_path / CURVE, b"no parquet")
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / FILE)
    with pytest.raises(StoreError, match="columns truth, probs"):
        AnswersReader().answers(tmp_path / FILE, (tmp_path / FILE).read_bytes())


def test_contents_are_those_whose_digests_were_compared(store):
    key = next(iter(store.read_sweep(NAME)["stages"]))
    path = store.path(key) / FILE
    content = path.read_bytes()
    assert store.contents(key, FILE, "absent") == {FILE: content}
    for name in (FILE, "summary.json"):
        before = (store.path(key) / name).read_bytes()
        (store.path(key) / name).write_bytes(b"x" * len(before))
        with pytest.raises(StoreError, match=f"{name} was changed after it was written"):
            store.contents(key, FILE)
        (store.path(key) / name).write_bytes(before)
    with pytest.raises(StoreError, match="missing or unreadable"):
        store.contents("0" * 20, FILE)
