"""Worked answers: the final answer is read by its value, and made-up sums are right, different and always the same."""

import json
import re

import pytest

from w2s_sweep.config.source import MadeUpSource
from w2s_sweep.data.tasks import TASKS
from w2s_sweep.data.tasks.base import OddRow
from w2s_sweep.data.tasks.reasoning import final_answer
from w2s_sweep.errors import SourceError
from w2s_sweep.sources import fetch, identify


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("3 + 4 = 7.\n#### 7", "7"),
        ("#### 7.0", "7"),
        ("#### 1,200", "1200"),
        ("#### $3.50", "7/2"),
        ("#### 3/4", "3/4"),
        ("#### 50%", "1/2"),
        ("#### -2", "-2"),
        ("#### 2^3 + 1", "9"),
        ("#### (1 + 2) * 4", "12"),
        ("#### 5 apples", "5 apples"),
        ("#### Tuesday ", "tuesday"),
        ("first #### 1 and then #### 2\nmore", "2"),
        ("so it is 7, not 8", "8"),
        ("no number", None),
        ("", None),
        ("####", None),
        ("#### 1/0", "1/0"),
        ("#### 9**9**9", "9**9**9"),  # nothing is computed that would take long
        ("#### ((9**64)**64)**64", "((9**64)**64)**64"),
        ("#### __import__('os')", "__import__('os')"),
    ],
)
def test_equal_answers_have_one_spelling(written, answer):
    assert final_answer(written) == answer


def rows_of(source, split="train"):
    folder = fetch(source, identify(source, "dataset"), "dataset")
    return [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]


def test_made_up_sums_are_worked_out_rightly_and_never_twice():
    source = MadeUpSource(train=300, test=60, terms=(2, 4))
    train, test = rows_of(source), rows_of(source, "test")
    assert (len(train), len(test)) == (300, 60)
    questions = [row["question"] for row in train + test]
    assert len(set(questions)) == len(questions)
    for row in train + test:
        total = eval(row["question"].removesuffix("= ?"))
        assert final_answer(row["answer"]) == str(total)
        steps = re.findall(r"(-?\d+) ([+-]) (\d+) = (-?\d+)\.", row["answer"])
        assert len(steps) == row["question"].count(" + ") + row["question"].count(" - ")
        assert all(eval(f"{a} {sign} {b}") == int(c) for a, sign, b, c in steps)
    assert rows_of(source) == train
    assert rows_of(MadeUpSource(train=300, test=60, terms=(2, 4), seed=1)) != train


@pytest.mark.slow
def test_sums_that_cannot_be_made_are_refused():
    with pytest.raises(SourceError, match=r"source.terms: got \[5, 2\], allowed"):
        identify(MadeUpSource(terms=(5, 2)), "dataset")
    few = MadeUpSource(train=2000, test=10, terms=(2, 2))
    with pytest.raises(SourceError, match=r"source.train: 2000 rows .* only 722 different"):
        fetch(few, identify(few, "dataset"), "dataset")
    with pytest.raises(SourceError, match="no model"):
        identify(MadeUpSource(), "model")


def test_a_question_stands_before_its_steps_and_the_result_after_a_mark():
    task = TASKS["worked_answer"]
    (example,) = task.examples({"question": " How many? ", "answer": "48/2 = <<48/2=24>>24 clips.\n#### 24"}, 0)
    assert example.text == "Question: How many?\nAnswer:"
    assert example.target == " 48/2 = 24 clips.\n#### 24"
    with pytest.raises(OddRow, match="no #### RESULT"):
        task.examples({"question": "How many?", "answer": "24"}, 0)
