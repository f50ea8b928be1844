"""The deal is a partition that keeps groups whole and classes balanced, whatever the order of the rows."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.setups import probe_settings
from w2s_sweep.config.dataset import SPLITS, Partition
from w2s_sweep.data.split import assign
from w2s_sweep.errors import DataError
from w2s_sweep.training.examples import Rows, rows_of_portion

SPLIT = Partition(seed=0, validation=0.1, test=0.25)


def table(groups: list[tuple[int, int]], origin: str = "train", name: str = "g") -> pa.Table:
    """Groups given as (rows of class 0, rows of class 1)."""
    rows = [
        (f"{name}{number}", label)
        for number, sizes in enumerate(groups)
        for label in (0, 1)
        for _ in range(sizes[label])
    ]
    return pa.table(
        {
            "label": pa.array([label for _, label in rows], pa.int8()),
            "group": [group for group, _ in rows],
            "origin": [origin] * len(rows),
        }
    )


def counts(examples: pa.Table, parts: np.ndarray) -> dict[str, np.ndarray]:
    labels = examples["label"].to_numpy()
    return {part: np.bincount(labels[parts == part], minlength=2) for part in SPLITS}


singles = [(1, 0), (0, 1)] * 200
groups_of_all_kinds = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=60)


@pytest.mark.slow
@given(groups_of_all_kinds, st.integers(0, 2**31 - 1), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_a_deal_is_a_partition_into_whole_groups_that_ignores_row_order(
    groups: list[tuple[int, int]], seed: int, random: np.random.RandomState
) -> None:
    examples = table([*groups, *singles])
    split = replace(SPLIT, seed=seed)
    parts = assign(examples, split)
    assert set(parts.tolist()) == {*SPLITS}
    pairs = set(zip(examples["group"].to_pylist(), parts.tolist(), strict=True))
    assert len(pairs) == len(set(examples["group"].to_pylist()))
    order = list(range(examples.num_rows))
    random.shuffle(order)
    assert assign(examples.take(order), split).tolist() == parts[order].tolist()


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=80), st.integers(0, 2**31 - 1))
@settings(max_examples=60, deadline=None)
def test_every_part_has_its_share_and_the_balance_of_the_whole_within_one_group(
    groups: list[tuple[int, int]], seed: int
) -> None:
    groups = [*groups, *((ones, zeros) for zeros, ones in groups), *singles]
    largest = max(zeros + ones for zeros, ones in groups)
    examples = table(groups)
    found = counts(examples, assign(examples, replace(SPLIT, seed=seed)))
    shares = {"test": 0.25, "validation": 0.075, "half_a": 0.3375, "half_b": 0.3375}
    for part, (zeros, ones) in found.items():
        assert abs(int(zeros) - int(ones)) <= largest
        assert abs(int(zeros + ones) - shares[part] * examples.num_rows) <= 2 * largest


def test_single_rows_are_dealt_to_the_row() -> None:
    examples = table([(1, 0), (0, 1)] * 1500)
    found = counts(examples, assign(examples, SPLIT))
    assert {part: tuple(c.tolist()) for part, c in found.items()} == {
        "half_a": (506, 506),
        "half_b": (506, 506),
        "validation": (113, 113),
        "test": (375, 375),
    }


def test_seeds_deal_differently_and_parts_are_independent_of_the_label() -> None:
    examples = table([(1, 1)] * 400)
    deals = [assign(examples, replace(SPLIT, seed=seed)) for seed in range(2)]
    same = np.mean([a == b for a, b in zip(*deals, strict=True)])
    assert 0.15 < same < 0.45
    assert (deals[0] == assign(examples, SPLIT)).all()


def test_a_small_part_gets_large_groups_too() -> None:
    """A part that only got what was left over would be a biased sample."""
    examples = table([(5, 5)] * 100 + [(1, 1)] * 500)
    sizes = {group: examples["group"].to_pylist().count(group) for group in {*examples["group"].to_pylist()}}
    parts = assign(examples, SPLIT)
    rows = np.array([sizes[group] for group in examples["group"].to_pylist()])
    assert 0.35 < np.mean(rows[parts == "validation"] == 10) < 0.65


def test_test_rows_of_the_source_are_the_test_set() -> None:
    examples = pa.concat_tables([table(singles), table(singles[:50], "test", "t")])
    parts = assign(examples, SPLIT)
    assert (parts == "test").tolist() == [False] * 400 + [True] * 50
    assert counts(examples, parts)["half_a"].tolist() == [90, 90]


def test_fixed_halves_stay_as_they_are_but_for_validation() -> None:
    parts_of = {"half_a": singles[:100], "half_b": singles[:200], "test": singles[:50]}
    examples = pa.concat_tables([table(groups, origin, origin) for origin, groups in parts_of.items()])
    parts = assign(examples, SPLIT)
    origin = np.array(examples["origin"].to_pylist())
    assert set(parts[origin == "half_a"]) == {"half_a", "validation"}
    assert {part: int(c.sum()) for part, c in counts(examples, parts).items()} == {
        "half_a": 90,
        "half_b": 180,
        "validation": 30,
        "test": 50,
    }


def test_a_part_without_both_classes_says_what_to_enlarge() -> None:
    with pytest.raises(DataError, match=r"validation has .* Raise dataset.validation \(now 0.1\) or dataset.n_train"):
        assign(table([(1, 0), (0, 1)] * 5), SPLIT)
    with pytest.raises(DataError, match=r"of class 1 with seed 0; both are needed"):
        assign(table([(3, 0)] * 30), SPLIT)
    with pytest.raises(DataError, match="smaller groups"):
        assign(table([(50, 50)] * 3), SPLIT)


def test_generation_has_no_classes_to_balance() -> None:
    examples = table([(1, 0)] * 200).append_column("target", [["x"] * 200])
    assert set(assign(examples, SPLIT).tolist()) == {*SPLITS}


def test_portions_of_a_half_hold_whole_groups_and_share_it_out():
    """A step of a chain must not learn from rows whose group the step before it was trained on."""
    ids = np.array([f"row {i}" for i in range(90)], dtype=object)
    groups = np.array([f"group {i // 3}" for i in range(90)], dtype=object)
    splits = np.array(["half_b" if i < 60 else "test" for i in range(90)])
    rows = Rows(ids, [""] * 90, np.zeros(90, dtype=np.int8), splits, groups=groups)
    lesson = probe_settings(split=replace(SPLIT, seed=1))
    found = [rows_of_portion(rows, replace(lesson, portion=(i, 3))) for i in range(3)]
    assert sorted(row for part in found for row in part) == rows_of_portion(rows, lesson) == list(range(60))
    held = [set(groups[part]) for part in found]
    assert sum(map(len, held)) == 20
    assert sorted(map(len, held)) == [6, 7, 7]
    other = rows_of_portion(rows, replace(lesson, portion=(0, 3), split=replace(SPLIT, seed=2)))
    assert other != found[0]
    with pytest.raises(DataError, match="20 groups of rows leave one without any"):
        rows_of_portion(rows, replace(lesson, portion=(20, 21)))
