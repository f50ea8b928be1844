"""Rows of one passage are never in two splits, in whatever files they come: a group that users declare is kept."""

import itertools
import json
import random
from collections import Counter, defaultdict

import numpy as np
import pytest

from tests.setups import data_settings
from w2s_sweep.config.dataset import Partition
from w2s_sweep.data.examples import build_examples
from w2s_sweep.data.pool import SourceSplit
from w2s_sweep.data.split import assign
from w2s_sweep.data.tasks import find
from w2s_sweep.data.tasks.base import OddRow, Task, one
from w2s_sweep.metrics import METRICS
from w2s_sweep.results.answers import Layout
from w2s_sweep.results.examples import Examples, Frame

PAIRS = {"task": "jsonl_triplet_pairs", "train_split": "a+b", "test_split": "test"}
SOURCES = {
    "a test set out of train": ({"train": 200}, {"task": "text_label", "test_split": None}),
    "files of all splits": (
        {"train": 300, "test": 20, "validation": 15},
        {"task": "text_label", "test_split": "test", "validation_split": "validation"},
    ),
    "rows without a label": (
        {"train": 200, "test": 20}, {"task": "text_label", "test_split": "test", "unlabelled": "half_b"},
    ),
    "easy to hard": ({"train": 300, "test": 20}, {"task": "text_label", "test_split": "test", "difficulty": "level"}),
    "fixed halves": ({"a": 80, "b": 80, "test": 20}, PAIRS | {"task": "jsonl_triplet"}),
    "fixed halves of pairs": ({"a": 80, "b": 80, "test": 20}, PAIRS),
}  # fmt: skip


def row_of(name, number, draw, settings):
    """A row of a passage that rows of all files share; every one has a question, or prompt, of its own."""
    about = f"{name} {number}"
    row = {"passage": f"p{draw.randrange(40)}", "label": number % 2, "level": draw.randint(1, 9)}
    if settings.get("unlabelled") and name == "train" and number > 100:
        row["label"] = -1
    if settings["task"] == "jsonl_triplet_pairs":
        return row | {"prompt": about, "first": "yes", "second": "no", "label": "AB"[number % 2]}
    return row | ({"question": about, "choice": "yes"} if settings["task"] == "jsonl_triplet" else {"text": about})


@pytest.mark.parametrize("name", SOURCES)
def test_a_passage_is_in_one_split(tmp_path, name):
    (files, settings), draw, passages = SOURCES[name], random.Random(0), {}
    for split, count in files.items():
        rows = [row_of(split, number, draw, settings) for number in range(count)]
        passages |= {f"{split} {number}": row["passage"] for number, row in enumerate(rows)}
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    known = {"columns": (("group", "passage"),), "balance": "none"}
    table = build_examples(data_settings(**known, **settings), tmp_path)
    found = defaultdict(set)
    parts = assign(table, Partition(seed=0, validation=0.1, test=0.2)).tolist()
    for text, part in zip(table["text"].to_pylist(), parts, strict=True):
        about = text.removeprefix("Question: ").partition("\n")[0]
        found[passages[about]].add(part)
    assert {*parts} == {"half_a", "half_b", "validation", "test"}
    assert [parts for parts in found.values() if len(parts) > 1] == []


def test_whole_questions_are_scored_where_several_are_about_one_passage(tmp_path):
    """Numbers of questions that begin anew in each passage; both right answers of a passage are not one question's."""
    rows = [
        {"text": f"{passage} {question} {answer}", "label": int(answer == 0), "passage": passage, "number": question}
        for passage in range(40) for question in range(2) for answer in range(3)
    ]  # fmt: skip
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = (("group", "passage"), ("question", "number"))
    known = {"task": "text_label", "test_split": None, "balance": "none"}
    table = build_examples(data_settings(columns=columns, **known), tmp_path)
    assert (len({*table["group"].to_pylist()}), len({*table["question"].to_pylist()})) == (40, 80)
    ids, labels = (table[name].to_pylist() for name in ("id", "label"))
    layout = Layout(np.arange(len(ids)), np.array(ids, dtype=object), np.array(labels, dtype=np.int8))
    groups, asked = (dict(zip(ids, table[name].to_pylist(), strict=True)) for name in ("group", "question"))
    says = np.where(np.array([text.endswith(("0 0", "1 2")) for text in table["text"].to_pylist()]), 0.9, 0.2)
    probs = np.stack([1 - says, says], 1)
    metric = METRICS["question_accuracy"]
    found = Examples.of(Frame.of(layout, groups, asked), probs, {})
    assert metric.scores_of(found).mean() == pytest.approx(0.5)  # the first question of each passage
    assert metric.scores_of(Examples.of(Frame.of(layout, groups), probs, {})) is None
    alone = build_examples(data_settings(columns=(("question", "passage"),), **known), tmp_path)
    assert len({*alone["group"].to_pylist()}) == 40  # rows of one question stay together where no group is named


@pytest.mark.parametrize("task", ["jsonl_triplet", "jsonl_triplet_pairs"])
def test_a_question_that_every_passage_has_does_not_make_one_of_them(tmp_path, task):
    for split, passages in (("a", 20), ("b", 20), ("test", 10)):
        asked = dict.fromkeys(("question", "prompt"), "What is the best title?")
        rows = [
            {**asked, "passage": f"{split} {passage}"}
            | {"choice": f"{split} {passage} {answer}", "first": f"{answer}", "second": "no"}
            | {"label": answer == 0 if task == "jsonl_triplet" else "AB"[answer]}
            for passage in range(passages) for answer in range(2)
        ]  # fmt: skip
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    known = {"columns": (("group", "passage"),), "balance": "none"}
    left_out = Counter()
    table = build_examples(data_settings(**known, **PAIRS | {"task": task}), tmp_path, left_out)
    assert (len(table), sum(left_out.values())) == (100, 0)
    assert len({*table["group"].to_pylist()}) == 50
    if task == "jsonl_triplet":
        assert len({*table["question"].to_pylist()}) == 50


def test_a_row_without_a_question_is_odd_and_a_whole_number_is_one_name(tmp_path):
    def pool(**more):
        return SourceSplit(find("text_label"), tmp_path, "train", columns={"question": "asked"}, **more)

    def write(*asked):
        rows = [{"text": f"t{i}", "label": i % 2, "asked": one} for i, one in enumerate(asked)]
        (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    write(2, 2.0, "2", 3)
    named = [example.question for example in pool().examples()]
    assert len({*named[:3]}) == 1 != len({*named})
    for odd in (None, float("nan"), ""):
        write("q", odd)
        with pytest.raises(OddRow, match=r"row 1 does not fit: column 'asked' names no question"):
            list(pool().examples())
        left_out = Counter()
        assert len(list(pool(skip_odd=True).examples(left_out))) == 1
        assert left_out["that name no question"] == 1


@pytest.mark.parametrize("blank", ["", None, float("nan")])
def test_rows_that_name_no_passage_are_not_of_one(tmp_path, blank):
    rows = [{"text": f"t{i}", "label": i % 2, "group": blank if i else "own"} for i in range(5)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    groups = [example.group for example in SourceSplit(find("text_label"), tmp_path, "train").examples()]
    assert len({*groups}) == 5


def test_a_column_that_a_task_reads_itself_groups_as_the_task_says_whatever_it_is_called(tmp_path):
    def convert(row):
        return one(str(row["question"]), row["label"], str(row["passage"]))

    needed, read_if_there = ("passage", "label"), ("question",)
    tasks = [Task("own", (*needed, *read_if_there), convert, own_classes=True),
             Task("own", needed, convert, optional=read_if_there, own_classes=True)]  # fmt: skip
    rows = [{"passage": "p", "question": f"q{i}", "asked": f"q{i}", "label": 1} for i in range(3)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for task, columns in itertools.product(tasks, ({}, {"question": "asked"})):
        assert len({example.group for example in SourceSplit(task, tmp_path, "train", columns=columns).examples()}) == 1
