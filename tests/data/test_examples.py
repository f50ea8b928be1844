"""The table of examples: balanced, bounded, whole groups, stable ids, nothing shared between training and test."""

import gzip
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tests.setups import data_settings
from tests.tiny import tiny_llama
from w2s_sweep.cli import main as w2s
from w2s_sweep.config.dataset import Partition
from w2s_sweep.data import components, pool
from w2s_sweep.data.examples import build_examples
from w2s_sweep.data.leaks import scan_leaks
from w2s_sweep.data.readers import count_rows, read_rows, splits_of
from w2s_sweep.data.sample import TOLERANCE, sample
from w2s_sweep.data.show import Reader, describe
from w2s_sweep.data.split import assign
from w2s_sweep.errors import DataError

Rows = list[dict[str, Any]]
SPLIT = Partition(seed=0, validation=0.1, test=0.25)


def write(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def build(path: Path, task: str = "text_label", subset: str | None = None, **changed: Any) -> pa.Table:
    return build_examples(data_settings(task=task, source={"subset": subset}, **changed), path)


def labelled(zeros: int, ones: int, name: str = "t") -> Rows:
    return [{"text": f"{name} {n}", "label": int(n >= zeros)} for n in range(zeros + ones)]


def label_counts(examples: pa.Table) -> list[int]:
    return np.bincount(examples["label"].to_numpy(), minlength=2).tolist()


# reading


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


# choosing


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), min_size=20, max_size=120),
       st.integers(2, 60) | st.none(), st.sampled_from([0.5, TOLERANCE, 1.0]), st.integers(0, 99))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_a_sample_is_balanced_bounded_and_blind_to_order(
    rows: list[tuple[int, int]], limit: int | None, most: float, seed: int
) -> None:
    groups = np.array([group for group, _ in rows], dtype=np.uint64)
    labels = np.array([label for _, label in rows], dtype=np.int8)
    contents = np.arange(len(rows), dtype=np.uint64)
    kept = sample(labels, groups, contents, limit=limit, most=most, seed=seed)
    counts = np.bincount(labels[kept], minlength=2)
    assert len(kept) <= (limit or len(rows))
    if counts.min() > 0:
        assert counts.max() <= most * counts.sum()
    order = np.random.default_rng(seed).permutation(len(rows))
    again = sample(labels[order], groups[order], contents[order], limit=limit, most=most, seed=seed)
    assert set(order[again].tolist()) == set(kept.tolist())


def test_without_balancing_the_classes_keep_their_shares(tmp_path: Path) -> None:
    rows = write(tmp_path / "rows.jsonl", labelled(150, 350))
    assert label_counts(build(rows, balance="none")) == [150, 350]
    assert label_counts(build(rows, balance="none", n_train=100)) == [30, 70]
    assert label_counts(build(rows)) == [150, 150]


def test_a_limit_keeps_whole_groups_and_reaches_it(tmp_path: Path) -> None:
    rows = [{"text": f"{n}", "label": n % 2, "group": n // 4} for n in range(400)]
    examples = build(write(tmp_path / "rows.jsonl", rows), n_train=100)
    assert label_counts(examples) == [50, 50]
    assert set(Counter(examples["group"].to_pylist()).values()) == {4}
    more = build(tmp_path / "rows.jsonl", n_train=200)
    assert {*examples["id"].to_pylist()} < {*more["id"].to_pylist()}
    other = build(tmp_path / "rows.jsonl", n_train=100, sample_seed=1)
    assert {*other["id"].to_pylist()} != {*examples["id"].to_pylist()}


@pytest.mark.parametrize(("zeros", "ones", "kept"), [(55, 45, [55, 45]), (60, 40, [40, 40]), (30, 70, [30, 30])])
def test_training_is_rebalanced_above_55_percent_and_test_always(
    tmp_path: Path, zeros: int, ones: int, kept: list[int]
) -> None:
    write(tmp_path / "train.jsonl", labelled(zeros, ones, "train"))
    write(tmp_path / "test.jsonl", labelled(21, 20, "test"))
    examples = build(tmp_path, test_split="test")
    train = examples.take([n for n, origin in enumerate(examples["origin"].to_pylist()) if origin == "train"])
    assert label_counts(train) == kept
    assert examples.num_rows - train.num_rows == 40
    assert label_counts(build(tmp_path))[0] == min(zeros, ones)


def test_groups_of_the_test_set_are_left_out_of_training(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [*labelled(50, 50), {"text": " TEST  0", "label": 0}])
    write(tmp_path / "test.jsonl", labelled(10, 10, "test"))
    examples = build(tmp_path, test_split="test")
    by_origin = {
        name: {row["group"] for row in examples.to_pylist() if row["origin"] == name} for name in ("train", "test")
    }
    assert not by_origin["train"] & by_origin["test"]
    assert " TEST  0" not in examples["text"].to_pylist()
    with pytest.raises(DataError, match="20 of them share a group with a later split"):
        build(tmp_path, train_split="test", test_split="test")


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


def test_a_large_source_is_thinned_by_whole_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"title": f"{n}", "content": f"{n // 2}", "label": n % 2} for n in range(4000)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    whole = build(tmp_path, task="amazon_polarity")
    monkeypatch.setattr(pool, "THINNED", 4)
    thin = build(tmp_path, task="amazon_polarity", n_train=100)
    assert label_counts(thin) == [50, 50]
    assert set(Counter(thin["group"].to_pylist()).values()) == {2}
    assert {*thin["id"].to_pylist()} < {*whole["id"].to_pylist()}


def test_linked_groups_are_joined_up_to_a_bound() -> None:
    def hashes(*values: int) -> components.Hashes:
        return np.array(values, dtype=np.uint64)

    groups, links = [hashes(1, 2, 9), hashes(4)], [hashes(2, 3, 9), hashes(3)]
    assert [pool.tolist() for pool in components.components(groups, links)] == [[1, 1, 9], [1]]
    chain = np.arange(1000, dtype=np.uint64)
    joined = components.components([chain], [chain + np.uint64(1)])[0]
    assert 2 < max(Counter(joined.tolist()).values()) <= components.MOST_ROWS


# leaks


def test_a_label_in_the_text_is_found(tmp_path: Path) -> None:
    words = np.random.default_rng(0).integers(0, 500, (400, 12))
    honest = [{"text": " ".join(f"w{i}" for i in row), "label": n % 2} for n, row in enumerate(words)]
    assert not scan_leaks(build(write(tmp_path / "a.jsonl", honest))).found
    marked = [row | {"text": f"{row['text']} label: {row['label']}"} for row in honest]
    leak = scan_leaks(build(write(tmp_path / "b.jsonl", marked)))
    assert (leak.found, leak.token_accuracy, leak.token[0] in "01") == (True, 1.0, True)


def test_a_gold_letter_among_texts_is_found(tmp_path: Path) -> None:
    """Defect: the right answer of OpenBookQA written as its letter, the wrong one as its text."""
    rng = np.random.default_rng(0)
    answers = [f"{'ABCD'[rng.integers(4)]}" if n % 2 else f"some w{rng.integers(99)} thing" for n in range(400)]
    rows = [{"text": f"Question\nAnswer: {a}", "label": n % 2, "group": n // 2} for n, a in enumerate(answers)]
    assert scan_leaks(build(write(tmp_path / "a.jsonl", rows))).auc > 0.99


@pytest.mark.slow
def test_an_answer_that_tells_part_of_its_label_alone_is_no_leak_and_is_said(tmp_path: Path) -> None:
    """As in QuAIL, where "not enough information" is offered in every question and right in a quarter of them."""
    rng = np.random.default_rng(0)
    rows = []
    for n in range(1000):
        sure = rng.random() < (0.3 if n % 2 else 0.1)
        answer = "not enough information" if sure else " ".join(f"w{i}" for i in rng.integers(0, 300, 3))
        rows.append({"text": f"Question: q{n // 2}\nAnswer: {answer}", "label": n % 2, "group": n // 2})
    examples = build(write(tmp_path / "a.jsonl", rows))
    leak = scan_leaks(examples)
    assert leak.answer_auc > 0.56
    assert (leak.found, leak.partial) == (False, True)
    assert "the answer alone tells part of its label" in describe(examples)
    single = build(write(tmp_path / "b.jsonl", labelled(40, 40)))
    assert scan_leaks(single).answer_auc is None


def test_a_description_counts_parts_and_shows_texts(tmp_path: Path) -> None:
    examples = build(write(tmp_path / "a.jsonl", labelled(40, 40)))
    text = describe(
        examples,
        assign(examples, SPLIT).tolist(),
        samples=1,
    )
    assert text.startswith("80 examples in 80 groups")
    for piece in ("half_a", "(50.0 %)", "no leak found", "label 0", "label 1"):
        assert piece in text


def test_rows_are_shown_as_a_model_reads_them_and_both_texts_of_a_pair_count(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama(tmp_path))
    rows = [{"prompt": f"the {n}", "chosen": " good", "rejected": " bad" * 30} for n in range(40)]
    examples = build(write(tmp_path / "pairs.jsonl", rows), "preference")
    text = describe(examples, reader=Reader("tiny", tokenizer, 20), samples=1, width=0)
    assert "50.0 % over 20 and cut" in text
    for cut in (line for line in text.splitlines() if line.count("bad") > 2):
        assert cut.startswith(("text as tiny reads it", "text_other as tiny reads it"))
        assert cut.count("bad") == 20
        assert "the" not in cut.split(":", 1)[1]


# real rows

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


@pytest.mark.slow
def test_the_command_takes_overrides_before_and_after_its_options(tmp_path: Path, capsys: Any) -> None:
    path = write(tmp_path / "rows.jsonl", labelled(40, 40))
    words = [f"dataset.path={path}", "dataset.name=mine"]
    for argv in (["--rows", "1", *words], [*words, "--rows", "1"], [words[0], "--rows", "1", words[1]]):
        assert w2s(["data", "local", *argv]) == 0
        assert "mine: task text_label" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        w2s(["data", "local", *words, "--rowz", "1"])
