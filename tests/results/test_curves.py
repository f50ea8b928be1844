"""Curves over training: accuracy, agreement and PGR of each evaluation, counted by hand on made-up predictions."""

import math
from dataclasses import replace

import pytest

from tests.results_store import LOSSES, NAME, Shape, build, put_stage, read_curve
from w2s_sweep.metrics import ROLES
from w2s_sweep.predictions import CURVE, FILE, read_predictions
from w2s_sweep.results.collect import collect
from w2s_sweep.results.collected import Results
from w2s_sweep.results.tables.arrow import curve_table

RISING = ((0.5, 0.6, 0.6), (0.55, 0.8, 0.8), (0.6, 0.7, 0.9))
"""The student is best in the middle: it overfits to its labels."""


def points(results: Results, role: str = "student", loss: str = "xent"):
    return [p for p in results.curves if (p.role, p.loss) == (role, loss)]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    shape = Shape(losses=LOSSES[:2], seeds=(0, 1), n_test=400, share=(0.3, 0.35, 0.45), curve=RISING)
    return collect(build(tmp_path_factory.mktemp("store"), shape), NAME)


def test_a_point_is_of_the_rows_that_were_evaluated_against_the_final_lines_on_the_same_rows(results):
    found = points(results)
    assert [(p.evaluation, p.step, p.steps, p.n_test, p.seeds) for p in found] == [
        (i, 10 * i, 30, 200, (0, 1)) for i in (1, 2, 3)
    ]
    assert [p.value.value for p in found] == pytest.approx([0.6, 0.8, 0.7])
    # Of 400 rows the first 120 and 180 are right in the end: of the 200 that were evaluated .6 and .9.
    assert {(round(p.weak.value, 9), round(p.ceiling.value, 9)) for p in found} == {(0.6, 0.9)}
    assert [p.pgr.value for p in found] == pytest.approx([0.0, 2 / 3, 1 / 3])
    assert all(p.pgr.low < p.pgr.value < p.pgr.high for p in found[1:])
    assert [p.accuracy for p in found] == [p.value for p in found]


def test_agreement_is_split_by_whether_the_supervisor_is_right(results):
    found = points(results)
    # The supervisor is right on the first 60 %; the student on the first 60, 80, 70 %, and wrong like it beyond.
    assert [p.agreement_supervisor_right.value for p in found] == pytest.approx([1, 1, 1])
    assert [p.agreement_supervisor_wrong.value for p in found] == pytest.approx([1, 0.5, 0.75])
    assert [p.agreement.value for p in found] == pytest.approx([1, 0.8, 0.9])


def test_supervisors_and_ceilings_have_curves_of_their_own(results):
    for role, place in (("weak", 0), ("ceiling", 2)):
        found = points(results, role)
        assert [p.value.value for p in found] == pytest.approx([shares[place] for shares in RISING])
        assert {(p.pgr.value, p.agreement.value, p.unidentified) for p in found} == {(None, None, "")}
    assert len(results.curves) == len(ROLES) * len(RISING) * 2


def test_a_gap_that_is_not_told_from_0_identifies_no_pgr_on_the_way_either(tmp_path):
    shape = Shape(seeds=(0, 1), n_test=400, share=(0.4, 0.4, 0.4), curve=RISING)
    found = points(collect(build(tmp_path, shape), NAME))
    assert {p.pgr.value for p in found} == {None}
    assert all(p.unidentified.startswith("the gap is not told from 0") for p in found)


@pytest.mark.slow
def test_seeds_without_a_curve_are_left_out_and_no_curve_is_no_row(tmp_path, results):
    store = build(tmp_path, Shape(seeds=(0, 1), n_test=400, curve=RISING))
    before = collect(store, NAME)
    key = before.rows[1].student_key
    predictions = read_predictions(store.path(key) / FILE)
    store.quarantine(key)
    put_stage(store, key, "without", predictions)
    after = collect(store, NAME)
    assert {p.seeds for p in points(after)} == {(0,)}
    assert {p.seeds for p in points(after, "ceiling")} == {(0, 1)}
    assert after.groups == before.groups
    table = curve_table(collect(build(tmp_path / "none", Shape()), NAME))
    assert table.num_rows == 0
    assert table.schema == curve_table(results).schema


def test_trainings_that_differ_by_a_few_steps_are_matched_by_their_evaluations(tmp_path):
    store = build(tmp_path, Shape(seeds=(0, 1), n_test=400, share=(0.3, 0.35, 0.45), curve=RISING))
    key = collect(store, NAME).rows[1].student_key
    predictions, curve = read_predictions(store.path(key) / FILE), read_curve(store.path(key) / CURVE)
    store.quarantine(key)
    put_stage(
        store, key, "shorter", predictions, curve=[replace(o, step=o.step - o.step // 5, steps=24) for o in curve]
    )
    found = points(collect(store, NAME))
    assert [(p.step, p.steps) for p in found] == [(9, 27), (18, 27), (27, 27)]
    assert [p.pgr.value for p in found] == pytest.approx([0.0, 2 / 3, 1 / 3])
    assert not any(math.isnan(p.value.value) for p in found)
