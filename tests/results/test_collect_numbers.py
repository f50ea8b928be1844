"""The numbers of cells are those of their predictions: paired by id, by the design of seeds and examples."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.results.printed import text_of
from tests.results_store import LOSSES, NAME, Shape, build, made_up, put_stage
from w2s_sweep.errors import StoreError
from w2s_sweep.metrics import METRICS, Design, crossed_interval, recover
from w2s_sweep.predictions import read_predictions
from w2s_sweep.results.collect import collect
from w2s_sweep.results.tables.columns import columns_of
from w2s_sweep.results.tables.further import all_columns, known_columns
from w2s_sweep.results.tables.written import as_markdown
from w2s_sweep.store.files import manifest_of, write_json


def test_a_cell_has_the_accuracies_and_pgr_of_its_predictions(tmp_path):
    store = build(tmp_path, Shape(share=(0.6, 0.7, 0.8)))
    (row,) = collect(store, NAME).rows
    assert (row.weak.value, row.student.value, row.ceiling.value) == pytest.approx((0.6, 0.7, 0.8))
    assert row.pgr.value == pytest.approx(0.5)
    assert row.pgr.low is not None
    assert row.pgr.high is not None
    assert row.pgr.low <= 0.5 <= row.pgr.high
    assert (row.n_test, row.classes, row.state, row.note) == (100, 2, "done", "")
    assert all(store.is_done(key) for key in (row.weak_key, row.student_key, row.ceiling_key))


def test_a_beaten_ceiling_is_told_with_the_student_and_what_to_do(tmp_path):
    beaten = text_of(collect(build(tmp_path / "a", Shape(share=(0.5, 0.9, 0.7))), NAME), width=200)
    assert "ceiling beaten: " in beaten
    assert "better by +.200 [" in beaten or "better by .200 [" in beaten
    assert beaten.count("ceiling.lr=[0.003,0.01,0.03]") == 1
    assert "ceiling beaten" not in text_of(collect(build(tmp_path / "b", Shape(share=(0.5, 0.7, 0.72))), NAME))


def test_a_further_test_set_has_results_of_its_own_and_changes_none_of_the_others(tmp_path):
    store = build(tmp_path, Shape(share=(0.6, 0.7, 0.8), seeds=(0, 1)))
    before, record = collect(store, NAME), store.read_sweep(NAME)
    first, second = record["cells"]
    first["tests"] = {"ood": {**second["roles"]}}  # as if these were what it says of other rows
    write_json(store.sweep(NAME) / "sweep.json", record)
    assert collect(store, NAME).rows == before.rows
    found = collect(store, NAME, test="ood")
    assert found.sweep == f"{NAME} on ood"
    (row,) = found.rows
    assert (row.weak_key, row.student) == (before.rows[1].weak_key, before.rows[1].student)
    with pytest.raises(StoreError, match=r"test: unknown name 'odd'. Did you mean 'ood'"):
        collect(store, NAME, test="odd")


def same_interval(found, expected):
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


@pytest.mark.parametrize("metric", ["accuracy", "auroc"])
def test_numbers_are_those_of_the_crossed_design_of_seeds_and_examples(tmp_path, metric):
    store = build(tmp_path, Shape(metric=metric, losses=LOSSES[:2], seeds=(0, 1, 2)))
    results = collect(store, NAME)
    of = METRICS[metric]
    for group in results.groups:
        rows = [row for row in results.rows if row.group == group.group]
        values = []
        for row in rows:
            paths = [
                store.path(key) / "predictions.parquet" for key in (row.weak_key, row.student_key, row.ceiling_key)
            ]
            roles = [found.take(np.argsort(found.ids)) for found in (read_predictions(path, "test") for path in paths)]
            values.append(np.stack([of.scores(role.probs, role.truth) for role in roles], axis=1))
        design = Design.of([np.arange(100)] * 3)  # all made-up test sets have the same ids
        weak, student, ceiling = np.concatenate(values).T
        expected = recover(design.moments(np.stack([student - weak, ceiling - weak], axis=1)))
        same_interval(group.gain, expected.gain)
        same_interval(group.gap, expected.gap)
        same_interval(group.pgr, expected.pgr)
        same_interval(group.weak, crossed_interval(design.moments(weak[:, None]), of.bounds))
        assert (group.n_groups, group.freedom) == (100, pytest.approx(expected.moments.freedom))
        assert group.over == "seeds and test examples"
        assert group.ratios == tuple(row.ratio for row in rows)


def test_rows_of_one_passage_are_one_observation_as_the_data_stage_says(tmp_path):
    store = build(tmp_path, Shape())
    record, (before,) = store.read_sweep(NAME), collect(store, NAME).rows
    data = "d" * 20
    for key in (before.weak_key, before.student_key):
        record["stages"][key]["inputs"] = {"data": data}
    record["stages"][before.ceiling_key]["inputs"] = {"labels": before.weak_key}  # as of a mean of several models
    write_json(store.sweep(NAME) / "sweep.json", record)
    (lost,) = collect(store, NAME).rows  # an interval that takes rows as independent would claim too much
    assert lost.state != "done"
    assert f"stage {data[:10]}, which says what test examples are one group, is gone" in lost.note
    ids = [f"row-{i:05d}" for i in range(100)]
    with store.attempt(data) as out:
        pq.write_table(pa.table({"id": ids, "group": [f"g{i // 20}" for i in range(100)]}), out / "examples.parquet")
        write_json(out / "summary.json", {})
        write_json(out / "preimage.json", {})
    (after,) = collect(store, NAME).rows
    assert (after.n_groups, after.weak.value, after.ratio) == (5, before.weak.value, before.ratio)
    assert after.gap.high - after.gap.low > 2 * (before.gap.high - before.gap.low)  # 20 of 100 in one passage of 5
    assert after.unidentified.startswith("the gap is not told from 0")


def test_auroc_is_of_probabilities_whatever_is_added_to_all_logits_of_an_example(tmp_path):
    """The logit of class 1 alone would rank the examples by what says nothing of their class."""
    store = build(tmp_path, Shape(metric="auroc"))
    (before,) = collect(store, NAME).rows
    for key in (before.weak_key, before.student_key, before.ceiling_key):
        said = read_predictions(store.path(key) / "predictions.parquet")
        more = np.random.default_rng(1).normal(0, 50, (len(said), 1)).astype(np.float32)
        store.quarantine(key)
        put_stage(store, key, "moved", replace(said, logits=said.logits + more))
    (after,) = collect(store, NAME).rows
    assert (after.weak, after.student, after.ceiling) == (before.weak, before.student, before.ceiling)


def test_roles_are_joined_by_id_whatever_the_order_of_their_rows(tmp_path):
    """Every made-up stage writes its rows in an order of its own; the first 60 % are right in all of them."""
    (row,) = collect(build(tmp_path, Shape()), NAME).rows
    assert row.details["agreement"].value == pytest.approx(0.9)


def test_pgr_is_not_identified_with_a_reason_where_the_gap_is_not_told_from_0(tmp_path):
    results = collect(build(tmp_path, Shape(share=(0.77, 0.7, 0.8), seeds=(0, 1))), NAME)
    assert all(row.pgr.value is None and row.unidentified and row.state == "done" for row in results.rows)
    assert all(row.ratio == pytest.approx(-0.07 / 0.03) for row in results.rows)
    (group,) = results.groups
    assert (group.pgr.value, group.pgr.low, group.pgr.high) == (None, None, None)
    assert group.unidentified.startswith("the gap is not told from 0: 0.0300 [-0.0")
    for text in (text_of(results), as_markdown(results)):
        assert "not identified" in text
        assert "PGR not identified (1 setting): the gap is not told from 0" in text


def test_an_unbalanced_test_set_is_said_with_the_accuracy_of_its_majority(tmp_path):
    store = build(tmp_path, Shape())
    (row,) = collect(store, NAME).rows
    assert row.majority == np.bincount(np.random.default_rng(0).integers(0, 2, 100)).max() / 100
    truth = (np.arange(100) < 62).astype(int)
    for key in (row.weak_key, row.student_key, row.ceiling_key):
        store.quarantine(key)
        put_stage(store, key, "unbalanced", made_up(truth, np.arange(100) < 70))
    results = collect(store, NAME)
    assert results.groups[0].majority == pytest.approx(0.62)
    assert "sciq: always the most frequent class has accuracy .620" in text_of(results)


def test_a_seed_with_a_bad_ceiling_stays_in_the_mean_gap_and_has_no_point(tmp_path):
    store = build(tmp_path, Shape(seeds=(0, 1, 2)))
    rows = collect(store, NAME).rows
    truth = np.random.default_rng(0).integers(0, 2, 100)
    store.quarantine(rows[0].ceiling_key)
    put_stage(store, rows[0].ceiling_key, "worse ceiling", made_up(truth, np.arange(100) < 50))
    (group,) = collect(store, NAME).groups
    assert (len(group.ratios), group.seeds) == (2, (0, 1, 2))
    assert group.gap.value == pytest.approx((-0.1 + 0.2 + 0.2) / 3)
    assert group.gain.value == pytest.approx(0.1)
    assert group.unidentified


def test_one_seed_is_said_to_be_of_this_trained_model(tmp_path):
    results = collect(build(tmp_path, Shape()), NAME)
    assert results.groups[0].over == "test examples of this trained model"
    assert results.groups[0].pgr == results.rows[0].pgr
    for text in (text_of(results), as_markdown(results)):
        assert "]†" in text
        assert "† One seed: 95 % of this trained model over 100 groups of test examples" in text


SPECIAL = ["question accuracy", "conflict", "possible"]
"""Metrics of some cells only."""


def test_how_many_generated_answers_are_possible_is_told_of_test_rows_where_it_is_known(tmp_path):
    store = build(tmp_path, Shape())
    row = collect(store, NAME).rows[0]
    folder = store.path(row.student_key)
    ids = read_predictions(folder / "predictions.parquet", "test").ids.tolist()
    legal = [None] * 20 + [True] * 60 + [False] * 20
    pq.write_table(pa.table({"id": [*ids, "of half B"], "legal": [*legal, False]}), folder / "generated.parquet")
    write_json(folder / "manifest.json", {"key": row.student_key, "files": manifest_of(folder)})
    found = collect(store, NAME).rows[0].details
    assert found["legal/student"].value == pytest.approx(0.75)
    assert found["legal/student"].low < 0.75 < found["legal/student"].high
    assert "legal/weak" not in found


def test_every_cell_and_group_has_all_further_metrics(tmp_path):
    results = collect(build(tmp_path, Shape(seeds=(0, 1))), NAME)
    names = {name for block in all_columns() if block.title not in SPECIAL for name in block.heads}
    names -= {"pgr/question_accuracy"}
    for item in (*results.rows, *results.groups):
        assert names <= set(item.details)
        assert all(item.details[name].value is not None for name in names)
    known = known_columns(results.groups)
    assert [block.title for block in all_columns() if block.title not in {one.title for one in known}] == SPECIAL
    assert {name for block in known for name in block.heads} == names
    (group,), first = results.groups, results.rows[0].details
    mean = np.mean([row.details["ece/weak"].value for row in results.rows])
    assert group.details["ece/weak"].value == pytest.approx(mean)
    assert first["gain/brier"].value == pytest.approx(first["brier/weak"].value - first["brier/student"].value)


def test_every_further_metric_has_an_interval_that_holds_it(tmp_path):
    results = collect(build(tmp_path, Shape(share=(0.6, 0.7, 0.8), seeds=(0, 1))), NAME)
    for item in (*results.rows, *results.groups):
        for name, found in item.details.items():
            assert found.low is not None, name
            assert found.low - 1e-9 <= found.value <= found.high + 1e-9, (name, found)
    row = results.rows[0]
    assert row.details["pgr/accuracy"] == row.pgr
    assert row.details["accuracy/student"] == row.student
    assert {"agreement_low", "capa_high", "pgr_auroc_low"} <= set(columns_of([row]))
