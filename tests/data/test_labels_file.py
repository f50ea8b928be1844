"""Files of labels made elsewhere: every form becomes a distribution, and nothing is guessed."""

import json

import numpy as np
import pytest

from w2s_sweep.config.supervisor import LabelColumns
from w2s_sweep.data.labels_file import read_said
from w2s_sweep.errors import DataError

NAMES = ("negative", "positive")


def written(tmp_path, rows, name="labels.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def said(tmp_path, *values, form="label", **options):
    rows = [{"id": f"e{i}", form: value} for i, value in enumerate(values)]
    return read_said(written(tmp_path, rows), LabelColumns(), **options)


@pytest.mark.parametrize(
    ("form", "value", "options", "expected"),
    [
        ("label", 1, {}, [0, 1]),
        ("label", "0", {}, [1, 0]),
        ("label", "1.0", {}, [0, 1]),
        ("label", True, {}, [0, 1]),
        ("label", "positive", {"classes": NAMES}, [0, 1]),
        ("label", "yes", {"classes": ("no", "yes")}, [0, 1]),
        ("label", 2, {"least": 3}, [0, 0, 1]),
        ("probability", 0.3, {}, [0.7, 0.3]),
        ("probability", "0.3", {}, [0.7, 0.3]),
        ("probability", [0.2, 0.3, 0.5], {}, [0.2, 0.3, 0.5]),
        ("probability", "[0.25, 0.75]", {}, [0.25, 0.75]),
        ("logits", [0.0, np.log(3)], {}, [0.25, 0.75]),
        ("logits", float(np.log(3)), {}, [0.25, 0.75]),
        ("votes", [1, 0, 1, None], {}, [1 / 3, 2 / 3]),
        ("votes", ["negative", "positive"], {"classes": NAMES}, [0.5, 0.5]),
        ("votes", "[1, 1]", {}, [0, 1]),
    ],
)
def test_what_each_form_says(tmp_path, form, value, options, expected):
    found = said(tmp_path, value, form=form, **options)
    assert found.probs.tolist() == [pytest.approx(expected)]
    wide = np.exp(found.logits[0])
    assert wide / wide.sum() == pytest.approx(expected, abs=1e-6)
    assert found.left_out == {}


@pytest.mark.parametrize(
    ("form", "value", "told"),
    [
        ("label", "positive", "supervisor.classes"),
        ("label", 0.5, "no class"),
        ("label", [1], "got list"),
        ("probability", 1.2, "is no probability"),
        ("probability", True, "got bool"),
        ("probability", [0.5, 0.6], "sums to 1.1"),
        ("logits", [0.0, float("nan")], "not finite"),
        ("logits", "high", "could not convert"),
        ("votes", 1, "a list of labels"),
    ],
)
def test_what_is_refused_with_column_and_row(tmp_path, form, value, told):
    with pytest.raises(DataError, match=told) as error:
        said(tmp_path, 0 if form == "label" else None, value, form=form)
    assert f"row 1, column '{form}'" in str(error.value)


@pytest.mark.parametrize("value", [None, "", -1, float("nan")])
def test_a_row_without_a_label_is_counted(tmp_path, value):
    found = said(tmp_path, 1, value)
    assert (found.keys, found.rows, found.left_out) == ([("e0",)], 2, {"rows without a label": 1})


def test_repeated_rows_are_counted_refused_where_they_differ_or_votes(tmp_path):
    same = [{"text": "x", "label": 1}] * 2
    assert read_said(written(tmp_path, same), LabelColumns()).left_out == {"repeated rows": 1}
    differ = written(tmp_path, [*same, {"text": "x", "label": 0}])
    with pytest.raises(DataError, match="rows 0 and 2 say different things of 'x'"):
        read_said(differ, LabelColumns())
    voted = read_said(differ, LabelColumns(), repeated="mean")
    assert voted.probs.tolist() == [pytest.approx([1 / 3, 2 / 3])]
    assert voted.left_out == {}


def test_columns_are_named_and_ids_come_before_texts(tmp_path):
    rows = [{"id": 7, "text": "x", "gpt4": 0, "label": 1}]
    path = written(tmp_path, rows)
    assert read_said(path, LabelColumns()).keys == [("7",)]
    assert read_said(path, LabelColumns(text="text")).keys == [("x",)]
    assert read_said(path, LabelColumns(label="gpt4")).probs.tolist() == [[1, 0]]
    with pytest.raises(DataError, match=r"supervisor.columns.label.*no column 'gpt5'. Columns found: gpt4"):
        read_said(path, LabelColumns(label="gpt5"))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"sentence": "x", "label": 1}, "neither an id nor a text"),
        ({"id": "x", "answer": 1}, "has no labels"),
        ({"id": "x", "label": 1, "probability": 0.5}, r"several kinds of labels \(label, probability\)"),
        ({"id": None, "label": 1}, "row 0, column 'id' holds NoneType"),
    ],
)
def test_a_file_that_is_not_clear_is_refused(tmp_path, row, told):
    with pytest.raises(DataError, match=told):
        read_said(written(tmp_path, [row]), LabelColumns())


def test_csv(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text('text,votes\n"a, b","[1, 0]"\nc,\n')
    found = read_said(path, LabelColumns())
    assert (found.keys, found.probs.tolist()) == ([("a, b",)], [[0.5, 0.5]])
    assert found.left_out == {"rows without a label": 1}
