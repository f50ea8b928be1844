"""predictions.parquet: what is written is what is read; anything else is refused with its path."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_sweep.errors import StoreError
from w2s_sweep.predictions import SPLITS, Predictions, read_predictions, write_predictions


def some(n: int = 40, classes: int = 2, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes)).astype(np.float32)
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    splits = np.array(SPLITS, dtype=object)[rng.integers(0, len(SPLITS), n)]
    seen = np.where((splits == "half_b")[:, None], probs, np.nan).astype(np.float32)
    ids = np.array([f"é-{i}" for i in range(n)], dtype=object)
    return Predictions(ids, splits, rng.integers(0, classes, n).astype(np.int8), logits, probs, seen)


def same(left: Predictions, right: Predictions) -> bool:
    exact = all((getattr(left, n) == getattr(right, n)).all() for n in ("ids", "splits", "truth", "logits", "probs"))
    return exact and np.array_equal(left.seen, right.seen, equal_nan=True)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(0, 60), classes=st.integers(2, 5), seed=st.integers(0, 99))
def test_round_trip_is_exact(tmp_path_factory, n, classes, seed):
    path = tmp_path_factory.mktemp("p") / "predictions.parquet"
    written = some(n, classes, seed)
    write_predictions(path, written)
    read = read_predictions(path)
    assert same(read, written)
    assert read.logits.dtype == np.float32
    assert read.truth.dtype == np.int8


def test_columns_are_as_documented(tmp_path):
    write_predictions(tmp_path / "p.parquet", some(classes=3))
    schema = pq.read_schema(tmp_path / "p.parquet")
    vector = pa.list_(pa.float32(), 3)
    assert [f.name for f in schema] == ["id", "split", "truth", "logits", "probs", "seen"]
    assert [schema.field(n).type for n in ("logits", "probs", "seen")] == [vector] * 3
    nulls = pq.read_table(tmp_path / "p.parquet")["seen"].null_count
    assert nulls == int((some(classes=3).splits != "half_b").sum())


def test_reading_one_split_is_reading_all_and_selecting_it(tmp_path):
    write_predictions(tmp_path / "p.parquet", some())
    for split in SPLITS:
        assert same(read_predictions(tmp_path / "p.parquet", split), read_predictions(tmp_path / "p.parquet").on(split))
    with pytest.raises(ValueError, match=r"tset.*half_a"):
        some().on("tset")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda p: replace(p, logits=p.logits * np.nan), "not finite.*learning rate"),
        (lambda p: replace(p, ids=np.array(["a"] * len(p), dtype=object)), "39 ids occur more than once"),
        (lambda p: replace(p, splits=np.array(["train"] * len(p), dtype=object)), "train.*half_a"),
        (lambda p: replace(p, truth=p.truth + 2), "truth holds"),
        (lambda p: replace(p, probs=p.probs * 2), "do not sum to 1"),
        (lambda p: replace(p, truth=p.truth[1:]), "truth have shape"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path, change, text):
    path = tmp_path / "p.parquet"
    with pytest.raises(StoreError, match=text):
        write_predictions(path, change(some()))
    assert not path.exists()


def test_damage_is_told_with_the_path(tmp_path):
    path = tmp_path / "p.parquet"
    with pytest.raises(StoreError, match=str(path)):
        read_predictions(path)
    write_predictions(path, some())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match=str(path)):
        read_predictions(path)
    pq.write_table(pa.table({"id": ["a"], "logits": [[0.1, 0.2]]}), path)
    with pytest.raises(StoreError, match="columns split, truth, logits, probs, seen"):
        read_predictions(path)


@pytest.mark.slow
def test_module_needs_neither_torch_nor_pandas(tmp_path):
    write_predictions(tmp_path / "p.parquet", some())
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('torch', 'pandas'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from pathlib import Path; from w2s_sweep.predictions import read_predictions, write_predictions\n"
        f"p = read_predictions(Path({str(tmp_path / 'p.parquet')!r}))\n"
        f"write_predictions(Path({str(tmp_path / 'q.parquet')!r}), p); print(len(p))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "40"
