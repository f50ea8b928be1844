"""More than two classes from rows to parts: balanced or as they are, every class in every part, names read strictly."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.setups import data_settings
from w2s_sweep.config.dataset import SPLITS, Partition
from w2s_sweep.data.examples import build_examples
from w2s_sweep.data.leaks import scan_leaks
from w2s_sweep.data.sample import TOLERANCE, sample
from w2s_sweep.data.show import describe
from w2s_sweep.data.split import assign
from w2s_sweep.errors import DataError

SPLIT = Partition(seed=0, validation=0.1, test=0.25)
MOODS = ("anger", "joy", "sadness")
SHARES = (60, 24, 36)
ROWS = [{"text": f"{mood} {i}", "label": mood} for mood, rows in zip(MOODS, SHARES, strict=True) for i in range(rows)]


def build(folder: Path, rows: Any, **change: Any) -> pa.Table:
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return build_examples(data_settings(task="text_label", **change), folder)


def counts_of(examples: pa.Table) -> list[int]:
    return np.bincount(examples["label"].to_numpy()).tolist()


# choosing


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=20, max_size=120),
       st.integers(4, 60) | st.none(), st.sampled_from([0.5, TOLERANCE, 1.0]), st.integers(0, 99))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_sample_of_four_classes_is_balanced_bounded_and_blind_to_order(
    rows: list[tuple[int, int]], limit: int | None, most: float, seed: int
) -> None:
    groups, labels = np.array([g for g, _ in rows], dtype=np.uint64), np.array([c for _, c in rows], dtype=np.int8)
    contents = np.arange(len(rows), dtype=np.uint64)
    chosen = {"limit": limit, "most": most, "seed": seed, "classes": 4}
    kept = sample(labels, groups, contents, **chosen)
    counts = np.bincount(labels[kept], minlength=4)
    assert len(kept) <= (limit or len(rows))
    if counts.min() > 0 and most < 1:
        assert counts.max() <= most / 2 * counts.sum()
    order = np.random.default_rng(seed).permutation(len(rows))
    again = sample(labels[order], groups[order], contents[order], **chosen)
    assert set(order[again].tolist()) == set(kept.tolist())


@pytest.mark.parametrize(
    ("balance", "limit", "counts"),
    [
        ("classes", None, [24, 24, 24]),
        ("none", None, [60, 24, 36]),
        ("classes", 40, [13, 13, 13]),
        ("none", 60, [30, 12, 18]),
    ],
)
def test_classes_are_balanced_or_keep_their_shares(
    tmp_path: Path, balance: Any, limit: int | None, counts: list[int]
) -> None:
    examples = build(tmp_path, ROWS, labels=MOODS, balance=balance, n_train=limit)
    assert counts_of(examples) == counts


def test_every_part_has_its_share_of_every_class(tmp_path: Path) -> None:
    examples = build(tmp_path, ROWS, labels=MOODS, balance="none")
    parts, labels = assign(examples, SPLIT), examples["label"].to_numpy()
    assert {*parts.tolist()} == {*SPLITS}
    for part, share in (("half_a", 0.3375), ("half_b", 0.3375), ("test", 0.25)):
        found = np.bincount(labels[parts == part], minlength=3)
        assert (np.abs(found - share * np.array(SHARES)) <= 1.5).all(), part
    order = np.random.default_rng(0).permutation(len(ROWS))
    assert assign(examples.take(order), SPLIT).tolist() == parts[order].tolist()


def test_a_class_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"60 examples of class 0, 24 of class 1 and 0 of class 2 are left .* at least 4"
    ):
        build(tmp_path, ROWS[:84], labels=MOODS, balance="none")
    few = [row for row in ROWS if row["label"] != "sadness"] + ROWS[84:89]
    with pytest.raises(DataError, match=r"split: validation has .* 0 of class 2 with seed 0; all are needed"):
        assign(build(tmp_path, few, labels=MOODS, balance="none"), SPLIT)


# names


@pytest.mark.parametrize("values", [(1, 2, 3), ("1", "2", "3"), (1.0, 2.0, 3.0)])
def test_numbers_are_names_too(tmp_path: Path, values: tuple[Any, ...]) -> None:
    rows = [row | {"label": values[MOODS.index(row["label"])]} for row in ROWS]
    assert counts_of(build(tmp_path, rows, labels=("1", "2", "3"), balance="none")) == [*SHARES]
    with pytest.raises(DataError, match=r"row 0 does not fit: column 'label' is .*none of the classes 2, 3"):
        build(tmp_path, rows, labels=("2", "3"))


def test_a_number_is_no_class_where_classes_have_names(tmp_path: Path) -> None:
    rows = [*ROWS, {"text": "x", "label": 1}, {"text": "y", "label": -1}]
    with pytest.raises(DataError, match=r"row 120 does not fit: column 'label' is 1, none of the classes anger, joy"):
        build(tmp_path, rows, labels=MOODS)
    left_out = Counter[str]()
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    skip = data_settings(task="text_label", labels=MOODS, odd_rows="skip", balance="none")
    assert counts_of(build_examples(skip, tmp_path, left_out)) == [*SHARES]
    assert left_out["whose label is no class"] == left_out["without a label that the task uses"] == 1


def test_without_names_there_are_two_classes_and_the_way_to_more_is_said(tmp_path: Path) -> None:
    rows = [row | {"label": MOODS.index(row["label"])} for row in ROWS]
    with pytest.raises(DataError, match=r"is 2, allowed: 0, 1, .*dataset.labels=\[anger,joy,sadness\]"):
        build(tmp_path, rows)
    (tmp_path / "train.jsonl").write_text(json.dumps({"text": "x", "label": 4}))
    with pytest.raises(DataError, match=r"is 4, allowed: 0, 1, 2, 3, and -1"):
        build_examples(data_settings(task="tweet_eval_emotion"), tmp_path)


# showing


def test_a_leak_of_one_class_of_three_is_found(tmp_path: Path) -> None:
    honest = [row | {"text": f"word {i} {i % 7}"} for i, row in enumerate(ROWS)]
    assert not scan_leaks(build(tmp_path, honest, labels=MOODS)).found
    marked = [row | {"text": row["text"] + (" #joy" if mood == "joy" else "")} for row, mood in
              ((row, old["label"]) for row, old in zip(honest, ROWS, strict=True))]  # fmt: skip
    leak = scan_leaks(build(tmp_path, marked, labels=MOODS))
    assert leak.found
    assert leak.token in ("joy", "#", "joy<end>")


def test_what_a_table_holds_is_shown_by_the_names_of_its_classes(tmp_path: Path) -> None:
    text = describe(build(tmp_path, ROWS, labels=MOODS, balance="none"), samples=1, names=MOODS)
    assert [word in text for word in ("0 = anger", "1 = joy", "2 = sadness", "60 (50.0 %)")] == [True] * 4
