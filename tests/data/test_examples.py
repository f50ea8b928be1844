"""The table of examples: stable ids, columns of its kind, nothing shared between training and test."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.data.made_rows import SPLIT, Rows, build, labelled, write
from w2s_sweep.data.leaks import scan_leaks
from w2s_sweep.data.split import assign
from w2s_sweep.errors import DataError


def test_ids_do_not_depend_on_sampling_order_or_neighbours(tmp_path: Path) -> None:
    rows = [*labelled(20, 20), {"text": "twice", "label": 1}, {"text": "twice", "label": 1}, {"text": "", "label": 0}]
    first = build(write(tmp_path / "a.jsonl", rows)).to_pylist()
    second = build(write(tmp_path / "b.jsonl", rows[::-1])).to_pylist()
    assert {row["id"]: row["text"] for row in first} == {row["id"]: row["text"] for row in second}
    assert len({row["id"] for row in first}) == len(first)
    few = build(tmp_path / "a.jsonl", n_train=10).to_pylist()
    assert {(row["id"], row["text"]) for row in few} <= {(row["id"], row["text"]) for row in first}


def test_empty_and_broken_texts_are_legal(tmp_path: Path) -> None:
    rows = [
        *labelled(10, 10),
        {"text": "", "label": 0},
        {"text": "half \ud83d", "label": 1},
    ]
    texts = build(write(tmp_path / "a.jsonl", [*rows, {"text": "x", "label": 0}]))["text"].to_pylist()
    assert texts.count("") == 1
    assert "half ?" in texts


def test_the_table_has_the_columns_and_types_of_its_kind(tmp_path: Path) -> None:
    examples = build(write(tmp_path / "a.jsonl", labelled(8, 8)))
    assert examples.schema.names == ["id", "text", "label", "group", "origin"]
    assert examples.schema.field("label").type == pa.int8()
    pairs = [{"prompt": f"{n}", "chosen": "good", "rejected": "bad"} for n in range(80)]
    examples = build(write(tmp_path / "b.jsonl", pairs), task="preference")
    assert examples.schema.names[-1] == "text_other"
    moves = [{"ctx": f"{n}.", "target": "e4"} for n in range(30)]
    examples = build(write(tmp_path / "c.jsonl", moves), task="chess_moves", n_train=20)
    assert examples["target"].to_pylist() == [" e4"] * 20


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (labelled(3, 30), r"3 examples of class 0 and 3 of class 1 are left after balancing; at least 4"),
        (labelled(0, 30), r"0 examples of class 0 and 30 of class 1.*rows of the missing class"),
        (labelled(0, 0), r"no row of split 'train' has a label"),
        ([{"text": "x", "label": None}] * 9, r"no row of split 'train' has a label"),
    ],
)
def test_too_few_rows_are_refused(tmp_path: Path, rows: Rows, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build(write(tmp_path / "a.jsonl", rows))


def test_a_test_split_of_one_class_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", labelled(9, 9))
    write(tmp_path / "test.jsonl", labelled(9, 0, "test"))
    with pytest.raises(DataError, match=r"split 'test'.*Raise dataset\.n_test"):
        build(tmp_path, test_split="test")


def test_three_files_are_the_halves_and_the_test_set(tmp_path: Path) -> None:
    for name, count in (("train_label", 40), ("train_unlabel", 80), ("test", 20)):
        write(tmp_path / f"{name}.jsonl", [
            {"question": f"{name} {n}", "choice": f"c{k}", "label": k == 0} for n in range(count) for k in range(2)
        ])  # fmt: skip
    files = {"train_split": "train_label+train_unlabel", "test_split": "test"}
    examples = build(tmp_path, task="jsonl_triplet", **files)
    assert Counter(examples["origin"].to_pylist()) == {"half_a": 80, "half_b": 160, "test": 40}
    parts = assign(examples, SPLIT)
    texts = np.array(examples["text"].to_pylist())
    assert all("train_label" in text for text in texts[parts == "half_a"])
    assert all("train_unlabel" in text for text in texts[parts == "half_b"])
    limited = build(tmp_path, task="jsonl_triplet", n_train=40, **files)
    assert Counter(limited["origin"].to_pylist()) == {"half_a": 20, "half_b": 20, "test": 40}
    with pytest.raises(DataError, match=r"train_split=train_label\+train_unlabel test_split=test"):
        build(tmp_path, task="jsonl_triplet", train_split="train_label", test_split="test")


REAL = [
    ("anli_r2", "anli", "dev_r2", None),
    ("boolq", "boolq", "validation", None),
    ("cosmos_qa", "cosmos_qa", "validation", None),
    ("ethics_deontology", "ethics_deontology", "train", "test"),
    ("ethics_justice", "ethics_justice", "train", "test"),
    ("ethics_utilitarianism", "ethics_utilitarianism", "train", "test"),
    ("ethics_virtue", "ethics_virtue", "train", "test"),
    ("cola", "glue_cola", "train", "validation"),
    ("sst2", "glue_sst2", "train", "test"),
    ("hellaswag", "hellaswag", "validation", None),
    ("hh_rlhf", "hh_rlhf_harmless", "train", "test"),
    ("mc_taco", "mc_taco", "validation", "test"),
    ("openbookqa", "openbookqa", "train", "test"),
    ("piqa", "piqa", "validation", None),
    ("multirc", "super_glue_multirc", "train", "validation"),
    ("wic", "super_glue_wic", "train", "validation"),
    ("tweet_eval_sentiment", "tweet_eval_sentiment", "test", "validation"),
    ("vader", "vader_movies", "train", None),
    ("chess_puzzles", "lichess_chess_puzzles", "train", None),
    ("checkmate_in_one", "bigbench_checkmate_in_one", "train", None),
]


WORDS_TELL = {
    "ethics_deontology",
    "ethics_justice",
    "ethics_virtue",
    "hh_rlhf",
    "mc_taco",
    "sst2",
    "tweet_eval_sentiment",
    "vader",
}
"""Tasks that single words tell something about; counting them is near chance in all others."""


SMALL = {"anli_r2", "cola", "hellaswag", "openbookqa", "piqa", "wic"}


@pytest.mark.parametrize(("task", "folder", "train", "test"), REAL)
def test_real_rows_are_balanced_apart_and_do_not_leak(task: str, folder: str, train: str, test: str | None) -> None:
    if "W2S_TEST_DATA" not in os.environ:
        pytest.skip("set W2S_TEST_DATA to a folder of data sets")
    if task == "chess_puzzles":
        pytest.importorskip("chess", reason="pip install chess")
    path = Path(os.environ["W2S_TEST_DATA"]) / folder
    examples = build(path, task, train_split=train, test_split=test, n_train=2000, n_test=500)
    parts = assign(examples, SPLIT)
    groups = examples["group"].to_pylist()
    assert len({*zip(groups, parts.tolist(), strict=True)}) == len({*groups})
    assert len({*examples["id"].to_pylist()}) == examples.num_rows > 500
    if "target" in examples.column_names:
        assert all(target.startswith(" ") for target in examples["target"].to_pylist())
        return
    share = examples["label"].to_numpy()[parts == "test"].mean()
    assert abs(share - 0.5) < 0.02
    leak = scan_leaks(examples)
    assert not leak.found, leak
    assert leak.auc < (0.92 if task in WORDS_TELL else 0.62)
    if task in SMALL:  # the rest would only take longer
        again = build(path, task, train_split=train, test_split=test, n_train=2000, n_test=500)
        assert again.equals(examples)
