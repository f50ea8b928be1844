"""Columns of a file whose texts are to be labelled: what is named has to be there."""

import json

import pytest

from w2s_sweep.errors import DataError
from w2s_sweep.export.predict import read_texts


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"text": "a", "key": 1, "id": "x"}, {"text": "b", "id": "y"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_ids_are_those_of_the_usual_column_or_of_the_one_named(file):
    assert read_texts(file, "text", None).ids == ["x", "y"]
    assert read_texts(file, "text", None, "text").ids == ["a", "b"]


def test_a_file_without_the_usual_column_has_no_ids(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    assert read_texts(tmp_path / "rows.jsonl", "text", None).ids is None


def test_a_column_that_is_named_and_not_there_is_an_error(file):
    with pytest.raises(DataError, match=r"has no column 'idd'. Columns found: id, key, text. Name the right one: --id"):
        read_texts(file, "text", None, "idd")
    with pytest.raises(DataError, match=r"row 1, has no column 'key'"):
        read_texts(file, "text", None, "key")
