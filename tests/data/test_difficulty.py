"""Easy to hard: trained on easy rows of a column, tested on hard ones; every row that is left out is counted."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.setups import cell, data_settings, dataset
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.data.difficulty import difficulty_of, threshold_of
from w2s_sweep.data.examples import build_examples, easy_up_to
from w2s_sweep.data.split import assign
from w2s_sweep.data.tasks.base import OddRow
from w2s_sweep.errors import DataError
from w2s_sweep.launch.prepare import tell_examples
from w2s_sweep.plan.builder import Builder

LEVELS = 5


def rows(count, prefix="a", **change):
    made = [{"text": f"{prefix} {i}", "label": i % 2, "level": i // 2 % LEVELS + 1} for i in range(count)]
    return [row | change for row in made]


def write(folder, **splits):
    folder.mkdir(exist_ok=True)
    for name, part in splits.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    return folder


def build(folder, left_out=None, **change):
    settings = data_settings(**({"task": "text_label", "difficulty": "level"} | change))
    return build_examples(settings, folder, left_out)


def levels(table, rows, origin):
    known = {row["text"]: row["level"] for row in rows}
    pairs = zip(table["text"].to_pylist(), table["origin"].to_pylist(), strict=True)
    return {known[text] for text, where in pairs if where == origin}


def test_without_a_test_split_hard_rows_of_the_training_split_are_the_test_set(tmp_path):
    made, left_out = rows(60), Counter()
    table = build(write(tmp_path / "own", train=made), left_out)
    assert levels(table, made, "train") == {1, 2, 3}
    assert levels(table, made, "test") == {4, 5}
    assert table.num_rows == 60
    assert not sum(left_out.values())
    parts, known = assign(table, dataset().split(3)), {row["text"]: row["level"] for row in made}
    found = {
        part: {known[t] for t, p in zip(table["text"].to_pylist(), parts, strict=True) if p == part}
        for part in set(parts)
    }
    assert found == {"half_a": {1, 2, 3}, "half_b": {1, 2, 3}, "validation": {1, 2, 3}, "test": {4, 5}}


def test_hard_rows_of_a_test_split_are_tested_on_and_the_others_are_counted(tmp_path):
    train, test, left_out = rows(60), rows(40, "b"), Counter()
    table = build(write(tmp_path / "own", train=train, test=test), left_out, test_split="test", difficulty_threshold=2)
    assert levels(table, train, "train") == {1, 2}
    assert levels(table, test, "test") == {3, 4, 5}
    assert {reason: n for reason, n in left_out.items() if n} == {
        "with level above 2": 36, "with level at or below 2": 16,
    }  # fmt: skip


def test_a_group_with_a_hard_row_is_not_trained_on(tmp_path):
    made = [row | {"group": f"g{i // 4}"} for i, row in enumerate(rows(80))]
    table = build(write(tmp_path / "own", train=made), difficulty_threshold=2)
    by_text = {row["text"]: row["group"] for row in made}
    where = {origin: set() for origin in ("train", "test")}
    for text, origin in zip(table["text"].to_pylist(), table["origin"].to_pylist(), strict=True):
        where[origin].add(by_text[text])
    assert where["train"]
    assert not where["train"] & where["test"]


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_the_threshold_is_a_value_that_at_least_so_many_rows_are_up_to(quantile):
    values = np.random.default_rng(0).integers(0, 30, 101)
    found = threshold_of(({"d": str(value)} for value in values.tolist()), "d", quantile)
    assert found in values
    assert (values <= found).mean() >= quantile - 1 / 101
    assert (values < found).mean() <= quantile


@pytest.mark.parametrize(
    ("value", "said"), [(None, "null"), ("hard", "'hard' (str)"), (True, "True (bool)"), (float("nan"), "nan (float)")]
)
def test_what_is_no_number_is_refused_with_row_column_and_type(value, said, tmp_path):
    with pytest.raises(OddRow, match=r"row 7 has level = ") as caught:
        difficulty_of({"level": value}, 7, "level")
    assert said in str(caught.value)
    odd = write(tmp_path / "odd", train=[*rows(40), *rows(3, "odd", level=value)])
    with pytest.raises(DataError, match="row 40"):
        build(odd)
    left_out = Counter()
    assert build(odd, left_out, odd_rows="skip").num_rows == 40
    assert left_out["whose level is no number"] == 3


def test_what_no_other_part_reads_is_counted_as_left_out(tmp_path):
    """Hard rows of a validation split are nobody's, also where the training split has those of the test."""
    folder = write(tmp_path / "own", train=rows(60), validation=rows(20, "v"))
    left_out = Counter()
    build(folder, left_out, validation_split="validation", difficulty_threshold=2.0)
    hard = sum(row["level"] > 2 for row in rows(20, "v"))
    assert left_out["with level above 2"] == hard > 0
    assert left_out["with level at or below 2"] == 0


def test_an_absent_column_is_refused_with_the_columns_that_are_there(tmp_path):
    folder = write(tmp_path / "own", train=rows(40))
    with pytest.raises(DataError, match=r"no column 'levl'. Columns found: level, label, text"):
        build(folder, difficulty="levl")
    with pytest.raises(DataError, match=r"no row of split 'train' .* with level above 9\. Change"):
        build(folder, difficulty_threshold=9)


def test_the_plan_says_up_to_where_rows_are_easy(tmp_path):
    folder = write(tmp_path / "own", train=rows(60))
    settings = data_settings(task="text_label", difficulty="level", difficulty_quantile=0.2)
    assert easy_up_to(settings, folder) == 1
    assert "up to 1 are easy" in tell_examples({"examples": 60, "easy up to": 1.0})


def test_keys_know_the_column_only_where_one_is_named():
    def key(**change):
        return Builder(cell(dataset=replace(dataset(), **change)), lambda source, kind: {}).data()

    assert len({key(), key(difficulty="level"), key(difficulty="level", difficulty_threshold=2.0)}) == 3


def test_settings_that_nothing_would_read_are_refused():
    def problems(**change):
        return problems_of(cell(dataset=replace(dataset(), **change)))

    assert "names no column" in problems(difficulty_threshold=1.0)[0]
    assert "both say" in problems(difficulty="level", difficulty_threshold=1.0, difficulty_quantile=0.3)[0]
    assert not problems(difficulty="level", difficulty_quantile=0.3)


def test_a_name_that_means_two_columns_is_refused():
    def problems(**change):
        return problems_of(cell(dataset=replace(dataset(), task="text_label", difficulty="label", **change)))

    (problem,) = problems(columns=(("label", "gold"),))
    assert "dataset.difficulty: label is a column of the file, and dataset.columns gives the task gold" in problem
    assert problems(columns=(("text", "sentence"),)) == []
