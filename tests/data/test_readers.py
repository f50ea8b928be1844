"""Every layout of files gives the same rows, and damage is named."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.made_rows import write
from w2s_sweep.data.readers import count_rows, read_rows, splits_of
from w2s_sweep.errors import DataError


def test_every_layout_of_files_gives_the_same_rows(tmp_path: Path) -> None:
    rows = [{"text": 'a "b",\tc', "label": "1"}, {"text": "é\n", "label": "0"}]
    write(tmp_path / "one.jsonl", rows)
    write(tmp_path / "plain" / "test.jsonl", rows)
    (tmp_path / "plain" / "NOTE.md").write_text("# not data")
    (tmp_path / "zipped").mkdir()
    (tmp_path / "zipped" / "train.jsonl.gz").write_bytes(gzip.compress((tmp_path / "one.jsonl").read_bytes()))
    for kind, mark in (("csv", ","), ("tsv", "\t")):
        (tmp_path / kind).mkdir()
        quoted = f'text{mark}label\n"a ""b"",\tc"{mark}1\n"é\n"{mark}0\n'
        (tmp_path / kind / f"train.{kind}").write_text(quoted)
    table = pa.Table.from_pylist(rows)
    for name in ("hub/data/train-00000-of-00001.parquet", "hub/data/dev-00000-of-00001-0123456789abcdef.parquet",
                 "many/sst2/train-00000-of-00001.parquet", "many/cola/train-00000-of-00001.parquet",
                 "converted/default/train/0000.parquet"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, tmp_path / name)
    cases = [("one.jsonl", "train", None), ("plain", "test", None), ("zipped", "train", None), ("csv", "train", None),
             ("tsv", "train", None), ("hub", "train", None), ("hub", "dev", None), ("many", "train", "cola"),
             ("converted", "train", None)]  # fmt: skip
    for folder, split, subset in cases:
        assert list(read_rows(tmp_path / folder, split, subset)) == rows, folder
    assert list(read_rows(tmp_path / "hub", "train+dev", columns=["label"]))[1:3] == [{"label": "0"}, {"label": "1"}]
    assert count_rows(tmp_path / "hub", "train+dev") == 4
    with pytest.raises(DataError, match=r"several folders: cola, sst2.*source\.subset"):
        splits_of(tmp_path / "many")


def test_shards_are_read_in_order(tmp_path: Path) -> None:
    for shard in range(3):
        pq.write_table(pa.table({"n": [shard]}), tmp_path / f"train-{shard:05}-of-00003.parquet")
    assert [row["n"] for row in read_rows(tmp_path, "train")] == [0, 1, 2]


def test_a_missing_split_lists_the_splits_found(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [])
    write(tmp_path / "validation.jsonl", [])
    with pytest.raises(DataError, match=r"'valid': not in .* Splits found: validation, train"):
        list(read_rows(tmp_path, "valid"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.jsonl", '{"text": "x"}\n{"text": ', "line 2 is not JSON"),
        ("train.jsonl", "[1]\n", "line 1 is not a JSON object"),
        ("train.csv", "text,label\na,1,2\n", "another number of fields"),
        ("train.parquet", "PAR", "cannot read"),
        ("x_GroundTruth.txt", "1 2 text\n", "line 1 is not"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=f"(?s){name}.*{message}" if message != "cannot read" else f"{message}.*{name}"):
        list(read_rows(tmp_path / name, "train"))


def test_ratings_of_vader_are_read(tmp_path: Path) -> None:
    (tmp_path / "x_GroundTruth.txt").write_bytes(b"1_1\t-0.9\tbad, bad\r\n1_2\t2\tgood\tstuff\r\n")
    rows = list(read_rows(tmp_path / "x_GroundTruth.txt", "train"))
    assert rows == [{"id": "1_1", "mean": -0.9, "text": "bad, bad"}, {"id": "1_2", "mean": 2.0, "text": "good\tstuff"}]
