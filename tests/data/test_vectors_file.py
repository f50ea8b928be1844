"""Vectors of any encoder from a file: every form gives the same ones, and nothing is guessed."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from w2s_sweep.data.vectors_file import read_vectors
from w2s_sweep.errors import DataError

NAMES = ["a", "b", "c"]
VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)


def write(folder, form, by="id", names=NAMES, vectors=VECTORS):
    path = folder / f"v.{form}"
    rows = [{by: name, "vector": one} for name, one in zip(names, np.asarray(vectors).tolist(), strict=True)]
    if form == "npz":
        np.savez(path, **{by: np.array(names), "vector": vectors})
    elif form == "safetensors":
        save_file({"vector": np.asarray(vectors)}, path, {by: json.dumps(list(names))})
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif form == "csv":
        lines = [f'{name},"{json.dumps(one)}"' for name, one in zip(names, np.asarray(vectors).tolist(), strict=True)]
        path.write_text("\n".join([f"{by},vector", *lines]) + "\n")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("form", ["npz", "safetensors", "parquet", "jsonl", "csv"])
@pytest.mark.parametrize("by", ["id", "text"])
def test_every_form_gives_the_same_vectors_in_the_order_that_is_asked_for(form, by, tmp_path):
    found = read_vectors(write(tmp_path, form, by))
    assert (found.by, found.vectors.dtype) == (by, np.float32)
    np.testing.assert_array_equal(found.of(["c", "a"]), VECTORS[[2, 0]])


def test_half_precision_is_read(tmp_path):
    found = read_vectors(write(tmp_path, "safetensors", vectors=VECTORS.astype(np.float16)))
    np.testing.assert_array_equal(found.vectors, VECTORS)


def test_examples_without_a_vector_are_counted_and_one_is_named(tmp_path):
    with pytest.raises(DataError, match=r"2 of 3 examples have no vector .* whose id is 'x'; the file has 'a'"):
        read_vectors(write(tmp_path, "npz")).of(["a", "x", "y"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"names": ["a", "a", "c"]}, "2 vectors of 'a'"),
        ({"vectors": np.array([[1, 2], [3, np.nan], [5, 6]], dtype=np.float32)}, "1 vectors are not finite.*'b'"),
        ({"vectors": np.zeros(3, dtype=np.float32)}, r"shape \[3\]"),
        ({"by": "name"}, "has name, vector; needed are vector, and id or text"),
    ],
)
def test_what_does_not_fit_is_refused(change, said, tmp_path):
    with pytest.raises(DataError, match=said):
        read_vectors(write(tmp_path, "npz", **change))


def test_files_that_are_empty_or_cut_off_are_refused(tmp_path):
    """With an error of ours, whatever the reader of the format raises."""
    for form in ("npz", "safetensors"):
        with pytest.raises(DataError, match="has no vectors"):
            read_vectors(write(tmp_path, form, names=[], vectors=np.zeros((0, 3), np.float32)))
    whole = write(tmp_path, "npz").read_bytes()
    for count in (0, len(whole) // 2):
        cut = tmp_path / f"cut{count}.npz"
        cut.write_bytes(whole[:count])
        with pytest.raises(DataError, match="cannot read"):
            read_vectors(cut)
    rows = tmp_path / "rows.jsonl"
    for second, said in (({"id": "b"}, "no column 'vector'"), ({"id": None, "vector": [1.0]}, "holds NoneType")):
        rows.write_text("".join(json.dumps(row) + "\n" for row in ({"id": "a", "vector": [0.0]}, second)))
        with pytest.raises(DataError, match=said):
            read_vectors(rows)


def test_vectors_of_different_widths_and_other_files_are_refused(tmp_path):
    (tmp_path / "v.jsonl").write_text('{"id": "a", "vector": [1, 2]}\n{"id": "b", "vector": [1]}\n')
    for name in ("v.jsonl", "absent.npz"):
        with pytest.raises(DataError, match="cannot read"):
            read_vectors(tmp_path / name)
    np.savez(tmp_path / "v.npz", id=np.array([{}], dtype=object), vector=VECTORS[:1])
    with pytest.raises(DataError, match="allow_pickle"):
        read_vectors(tmp_path / "v.npz")
