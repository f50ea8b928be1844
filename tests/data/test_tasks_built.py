"""Every task from rows to dealt parts: balanced, whole groups, the same bytes each time, and no label in any text."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.made_up import made_up, write
from tests.setups import data_settings
from w2s_sweep.config.dataset import SPLITS, Partition
from w2s_sweep.data.examples import build_examples
from w2s_sweep.data.leaks import scan_leaks
from w2s_sweep.data.sample import TOLERANCE
from w2s_sweep.data.split import assign
from w2s_sweep.data.tasks import TASKS

GROUPS = 80
SEEDS = range(4)
CHANCE = 0.7
"""Above this, counting words tells labels: for 80 held-out texts it is three standard deviations from chance."""
DEALT = {"ethics_utilitarianism", "hh_rlhf", "preference"}
"""Tasks whose sources name the better text first, so that a hash deals the order."""

CLASSES = sorted(name for name, task in TASKS.items() if task.kind != "generate")
GENERATE = sorted({*TASKS} - {*CLASSES})


@pytest.fixture(autouse=True)
def _chess(request: pytest.FixtureRequest) -> None:
    if request.getfixturevalue("task") in GENERATE:
        pytest.importorskip("chess", reason="pip install chess")


def built(task: str, folder: Path, *, own_test: bool = False, turned: bool = False) -> pa.Table:
    """The table of the data stage. Groups straddle the files where there is more than one; `turned`: last row first."""
    names = ["train", "test"] if own_test else ["train"]
    if TASKS[task].fixed_halves:
        names = ["half_a", "half_b", "test"]
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        rows = [one.row for one in made_up(task, GROUPS)[number :: len(names)]]
        write(rows[::-1] if turned else rows, folder / f"{name}.jsonl")
    files = {"train_split": "+".join(names[:-1] or names), "test_split": names[-1] if len(names) > 1 else None}
    return build_examples(data_settings(task=task, **files), folder)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], pa.Table]:
    """The table of a task with its files as they are, built once for all tests."""
    return cache(lambda task: built(task, tmp_path_factory.mktemp("usual")))


def content(example: Mapping[str, Any]) -> tuple[str, ...]:
    """What is written of an example, without its label."""
    return tuple(example[name] for name in ("text", "text_other", "target") if example.get(name) is not None)


@cache
def owner_of(task: str) -> Mapping[tuple[str, ...], int]:
    """What is written of an example -> the number of the group that it was made up in."""
    return {
        content(asdict(example)): one.group
        for one in made_up(task, GROUPS)
        for example in TASKS[task].examples(one.row, 0)
    }


def owners(task: str, examples: pa.Table) -> list[int]:
    return [owner_of(task)[content(row)] for row in examples.to_pylist()]


def torn(groups: Sequence[object], parts: Sequence[str]) -> int:
    """Number of groups too many: 0 if each is in one part."""
    return len({*zip(groups, parts, strict=True)}) - len({*groups})


@pytest.mark.parametrize("task", sorted(TASKS))
def test_groups_stay_whole_and_every_part_has_all_classes(task: str, usual: Callable[[str], pa.Table]) -> None:
    examples = usual(task)
    made, named = owners(task, examples), examples["group"].to_pylist()
    assert len({*made}) > GROUPS / 2
    labels = examples["label"].to_numpy()
    for seed in SEEDS:
        parts = assign(examples, Partition(seed=seed, validation=0.1, test=0.25))
        assert torn(made, parts.tolist()) == torn(named, parts.tolist()) == 0
        classes = {part: {*labels[parts == part].tolist()} for part in SPLITS}
        assert classes == dict.fromkeys(SPLITS, {0} if task in GENERATE else {*range(len(TASKS[task].classes))})


@pytest.mark.parametrize("task", sorted(TASKS))
def test_no_group_is_in_training_and_in_the_test_split(task: str, tmp_path: Path) -> None:
    examples = built(task, tmp_path, own_test=True)
    origins = examples["origin"].to_pylist()
    assert torn(owners(task, examples), origins) == torn(examples["group"].to_pylist(), origins) == 0
    if task in CLASSES:
        labels = examples["label"].to_numpy()
        for origin in {*origins}:
            counts = np.bincount(labels[np.array(origins) == origin])
            shares = counts * len(TASKS[task].classes) / 2 / counts.sum()  # of two classes: .5 is equal
            assert shares.max() <= (0.5 if origin == "test" else TOLERANCE)


@pytest.mark.parametrize("task", CLASSES)
def test_all_of_the_smallest_class_is_kept_and_counting_words_is_near_chance(
    task: str, usual: Callable[[str], pa.Table]
) -> None:
    examples = usual(task)
    if not TASKS[task].fixed_halves:  # there, rows of groups that straddle the files are left out
        labels = [e.label for one in made_up(task, GROUPS) for e in TASKS[task].examples(one.row, 0)]
        classes = range(len(TASKS[task].classes))
        smallest = min(labels.count(c) for c in classes)
        assert [examples["label"].to_pylist().count(c) for c in classes] == [smallest for _ in classes]
    assert examples.num_rows > 60
    leak = scan_leaks(examples)
    assert 1 - CHANCE < leak.auc < CHANCE, leak
    assert leak.token_accuracy < CHANCE, leak


@pytest.mark.parametrize("task", sorted(TASKS))
def test_the_same_rows_give_the_same_bytes_and_in_any_order_the_same_examples(
    task: str, tmp_path: Path, usual: Callable[[str], pa.Table]
) -> None:
    tables = [usual(task), *(built(task, tmp_path / "data", turned=turned) for turned in (False, True))]
    for number, table in enumerate(tables):
        pq.write_table(table, tmp_path / f"{number}.parquet", compression="zstd")
    assert (tmp_path / "0.parquet").read_bytes() == (tmp_path / "1.parquet").read_bytes()
    assert {*tables[0]["id"].to_pylist()} == {*tables[2]["id"].to_pylist()}


@pytest.mark.parametrize("task", CLASSES)
def test_a_text_is_the_same_whether_its_label_is_right_or_wrong(task: str) -> None:
    """Each row is converted with each of its answers as the right one: both labels have the same texts, so the right
    answer is written no other way, stands nowhere else and changes nothing around it."""
    for one in made_up(task, 12):
        texts: dict[int, set[Any]] = {c: set() for c in range(len(TASKS[task].classes))}
        for row in one.golds:
            for example in TASKS[task].examples(row, 0):
                written = content(asdict(example))
                key = tuple(sorted(Counter(" ".join(written).split()).items())) if task in DEALT else written
                texts[example.label].add(key)
        if task in DEALT:
            assert len(texts[0] | texts[1]) == 1
        else:
            assert texts[0]
            assert all(texts[0] <= others for others in texts.values()), one


@pytest.mark.parametrize("task", GENERATE)
def test_a_target_is_a_possible_answer_that_its_text_does_not_end_with(
    task: str, usual: Callable[[str], pa.Table]
) -> None:
    examples = usual(task).to_pylist()
    assert len(examples) >= GROUPS
    legal, answer = TASKS[task].legal, TASKS[task].answer
    assert legal is not None or answer is not None
    for row in examples:
        assert row["target"].startswith(" ")
        assert legal is None or legal(row["text"], row["target"])
        assert answer is None or answer(row["target"]) is not None
        assert not row["text"].endswith((row["target"], " "))
