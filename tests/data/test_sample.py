"""A sample is balanced, bounded and of whole groups; training and test share none."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.made_rows import build, labelled, write
from w2s_sweep.data import components, pool
from w2s_sweep.data.sample import TOLERANCE, sample
from w2s_sweep.errors import DataError


def label_counts(examples: pa.Table) -> list[int]:
    return np.bincount(examples["label"].to_numpy(), minlength=2).tolist()


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
