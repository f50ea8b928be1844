"""Cells are read and scored in blocks: which ones stand together changes no number."""

import gc
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import stdtrit

from tests.results_store import LOSSES, NAME, Shape, build, made_up
from w2s_sweep.errors import StoreError
from w2s_sweep.metrics import ROLES, Interval
from w2s_sweep.predictions import (
    CURVE,
    FILE,
    Evaluated,
    Predictions,
    read_predictions,
    write_curve,
    write_predictions,
)
from w2s_sweep.results import cells
from w2s_sweep.results.answers import AnswersReader
from w2s_sweep.results.cells import CellReader
from w2s_sweep.results.collect import collect, collect_record
from w2s_sweep.results.collected import Results
from w2s_sweep.results.estimate import Designs, Estimated, estimate
from w2s_sweep.results.examples import Examples
from w2s_sweep.results.memory import no_garbage_collection
from w2s_sweep.results.reader import Reader
from w2s_sweep.results.score import Batch, Measured
from w2s_sweep.store import Store

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


@pytest.mark.parametrize("value", [-np.inf, np.inf, np.nan])
def test_a_cell_with_a_row_that_is_not_finite_has_no_value_and_changes_no_other(value):
    random, groups = np.random.default_rng(0), np.arange(20).astype(str)
    names = [f"accuracy/{role}" for role in ROLES]
    columns = {name: random.random((3, 20)) + place for place, name in enumerate(names)}
    ratios = {"pgr": (names[0], names[1], names[2])}

    def of(cells: list[int], columns) -> list[Estimated]:
        batch = Batch.of(groups, {name: values[cells] for name, values in columns.items()})
        return estimate([[Measured(batch, place)] for place in range(len(cells))], ratios, Designs())

    alone = of([0, 2], columns)
    columns[names[1]][1, 7] = value
    first, bad, last = of([0, 1, 2], columns)
    for found, expected in zip((first, last), alone, strict=True):
        same(found.means, expected.means)
        same(asdict(found.recoveries["pgr"].excess), asdict(expected.recoveries["pgr"].excess))
    assert bad.means[names[1]] == Interval(None)
    assert bad.means[names[0]].value == pytest.approx(columns[names[0]][1].mean())
    assert bad.recoveries["pgr"].reason == "the metric of student is undefined"


def test_numbers_of_many_cells_are_those_of_sums_over_each_cell(store, together):
    for row in together.rows:
        found = {role: read_predictions(store.path(getattr(row, f"{role}_key")) / FILE, "test") for role in ROLES}
        right = {role: dict(zip(p.ids, p.probs.argmax(1) == p.truth, strict=True)) for role, p in found.items()}
        means = {role: sum(one.values()) / len(one) for role, one in right.items()}
        gains = np.array([float(right["student"][name]) - float(right["weak"][name]) for name in sorted(right["weak"])])
        half = stdtrit(len(gains) - 1, 0.975) * gains.std(ddof=1) / len(gains) ** 0.5
        assert [getattr(row, role).value for role in ROLES] == pytest.approx([means[role] for role in ROLES])
        gain = [means["student"] - means["weak"] + end for end in (0, -half, half)]
        assert [row.gain.value, row.gain.low, row.gain.high] == pytest.approx(gain)
        assert row.ratio == pytest.approx(gain[0] / (means["ceiling"] - means["weak"]))


def test_many_evaluations_make_blocks_smaller(store):
    record = store.read_sweep(NAME)
    record["cells"][0]["cell"]["test_evaluations"] = 1000
    read = CellReader.of(Reader(store, record["stages"]), record, {})
    assert [read.read("g", place).weight for place in (0, 1)] == [60 * 100, 60]


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_collected_again_as_before_also_after_an_exception(enabled):
    seen = list[bool]()

    @no_garbage_collection
    def fail() -> None:
        seen.append(gc.isenabled())
        raise ZeroDivisionError

    was = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(ZeroDivisionError):
            fail()
        assert (seen, gc.isenabled()) == ([False], enabled)
    finally:
        (gc.enable if was else gc.disable)()


def test_a_curve_is_read_again_without_the_rest_of_its_stage(store, together, monkeypatch):
    reader = Reader(store)
    key = together.rows[0].student_key
    assert isinstance(reader.examples(key), Examples)
    first = reader.curve(key)
    monkeypatch.setattr(Store, "contents", lambda *_: pytest.fail("all files are read again"))
    again = reader.curve(key)
    assert [one.step for one in first] == [one.step for one in again] == [10, 20]


def test_stages_shown_on_the_same_rows_have_the_same_groups(store):
    reader = Reader(store)
    keys = [key for key, stage in store.read_sweep(NAME)["stages"].items() if "sciq 0" in stage["label"]]
    wholes = [one for key in keys if isinstance(one := reader.examples(key), Examples)]
    ids = wholes[0].ids[::2]
    first, second = (reader.parts.on(one, ids) for one in wholes[:2])
    assert first.groups is second.groups
    assert first.groups.tolist() == wholes[0].groups[::2].tolist()
    assert not np.array_equal(first.probs, second.probs)
    assert reader.parts.on(wholes[0], wholes[0].ids[1::2]).groups.tolist() == wholes[0].groups[1::2].tolist()


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
        written = [Evaluated(s, 9, ids, draw.random((3, 2), np.float32)) for s in (3, 9)]
        write_curve(tmp_path / name, written)
        curves.append(files.curve(tmp_path / name, (tmp_path / name).read_bytes()))
        for found, expected in zip(curves[-1], written, strict=True):
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
