"""Every task turns rows of the published schema into the right labelled texts, and no text holds its label."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.data.rows_of_tasks import SAMPLES, convert
from tests.setups import data_settings
from w2s_sweep.config.dataset import Partition
from w2s_sweep.data.examples import build_examples
from w2s_sweep.data.split import assign
from w2s_sweep.data.tasks import TASKS, find
from w2s_sweep.errors import DataError

CHOICES = {"text": ["first", "second", "third", "fourth"], "label": ["A", "B", "C", "D"]}


SCIQ = {"question": "Q?", "correct_answer": "yes", "distractor1": "a", "distractor2": "b", "distractor3": "c"}


ANSWERS = {f"answer{n}": f"answer {n}" for n in range(4)}


BINARY: list[tuple[str, Mapping[str, Any], str, int | None]] = [
    ("vader", {"id": "1", "mean": 0.5, "text": "good"}, "good", 1),
    ("vader", {"id": "3_2", "mean": -2.0, "text": "bad"}, "bad", 0),
    ("vader", {"id": "1", "mean": 0.4, "text": "so so"}, "", None),
    ("sst2", {"sentence": "fine", "label": 1}, "fine", 1),
    ("sst2", {"sentence": "hidden", "label": -1}, "", None),
    ("tweet_eval_sentiment", {"text": "great", "label": 2}, "great", 1),
    ("tweet_eval_sentiment", {"text": "neutral", "label": 1}, "", None),
    ("twitter_sentiment", {"text": "meh", "label": 0}, "meh", 0),
    ("amazon_polarity", {"title": "T", "content": "C", "label": 1}, "T\nC", 1),
    ("cola", {"sentence": "Him runs.", "label": 0}, "Him runs.", 0),
    ("boolq", {"passage": "P.", "question": "is it", "answer": True}, "P.\nQuestion: is it?", 1),
    ("anli_r2", {"premise": "P", "hypothesis": "H", "label": 0}, "P\nHypothesis: H", 1),
    ("anli_r2", {"premise": "P", "hypothesis": "H", "label": 2}, "P\nHypothesis: H", 0),
    ("paws", {"sentence1": "a b", "sentence2": "b a", "label": 1}, "Sentence 1: a b\nSentence 2: b a", 1),
    ("wic", {"word": "w", "sentence1": "a", "sentence2": "b", "label": 0}, "Sentence 1: a\nSentence 2: b\nWord: w", 0),
    ("multirc", {"paragraph": "P", "question": "Q", "answer": "X", "label": 1}, "P\nQuestion: Q\nAnswer: X", 1),
    ("mc_taco", {"sentence": "S", "question": "Q", "answer": "X", "label": 0}, "S\nQuestion: Q\nAnswer: X", 0),
    ("ethics_justice", {"scenario": "I left because I was late.", "label": 1}, "I left because I was late.", 1),
    ("ethics_deontology", {"scenario": "S", "excuse": "E", "label": 0}, "S\nE", 0),
    ("ethics_virtue", {"scenario": "He gave. [SEP] kind", "label": 1}, "He gave.\nTrait: kind", 1),
    ("text_label", {"text": "x", "label": "true"}, "x", 1),
    ("text_label", {"text": "", "label": 0}, "", 0),
    ("jsonl_triplet", {"question": "Q", "choice": "C", "label": True}, "Question: Q\nAnswer: C", 1),
    ("jsonl_triplet", {"text": "t", "label": 0}, "t", 0),
]


SEVERAL: list[tuple[str, Mapping[str, Any], str, int | None]] = [
    ("tweet_eval_emotion", {"text": "so sad", "label": 3}, "so sad", 3),
    ("tweet_eval_emotion", {"text": "hidden", "label": -1}, "", None),
    ("anli", {"premise": "P", "hypothesis": "H", "label": 2}, "P\nHypothesis: H", 2),
]
"""Of more than two classes."""


CHOSEN: list[tuple[str, Mapping[str, Any], str]] = [
    ("sciq", SCIQ, "Question: Q?\nAnswer: yes"),
    ("sciq_with_support", SCIQ | {"support": "S."}, "S.\nQuestion: Q?\nAnswer: yes"),
    ("openbookqa", {"question_stem": "Q", "choices": CHOICES, "answerKey": "C"}, "Question: Q\nAnswer: third"),
    ("cosmos_qa", {"context": "C", "question": "Q", "label": 2, **ANSWERS}, "C\nQuestion: Q\nAnswer: answer 2"),
    ("dream", {"dialogue": ["M: a", "W: b"], "question": "Q", "choice": ["x", "y"], "answer": "y"},
     "M: a\nW: b\nQuestion: Q\nAnswer: y"),
    ("hellaswag", {"ctx": "[header] A [title] He", "endings": ["sits.", "[step] X."], "label": "0"}, "A. He sits."),
    ("quail", {"context": "C", "question": "Q", "answers": ["x", "y"], "correct_answer_id": 1},
     "C\nQuestion: Q\nAnswer: y"),
    ("piqa", {"goal": "G", "sol1": "x", "sol2": "y", "label": 0}, "Goal: G\nSolution: x"),
    ("quartz", {"para": "P", "question": "Q", "choices": CHOICES, "answerKey": "B"}, "P\nQuestion: Q\nAnswer: second"),
    ("social_iqa", {"context": "C", "question": "Q", "answerA": "x", "answerB": "y", "answerC": "z", "label": "3"},
     "C\nQuestion: Q\nAnswer: z"),
    ("multiple_choice", {"question": "Q", "choices": ["x", "y"], "answer": 1}, "Question: Q\nAnswer: y"),
]  # fmt: skip


GENERATED: list[tuple[str, Mapping[str, Any], str, str]] = [
    ("chess_moves", {"ctx": "1. e4 e5 2.", "target": " Nf3"}, "1. e4 e5 2.", " Nf3"),
    ("checkmate_in_one", {"input": "1. f3 e5 2. g4", "target": "Qh4#"}, "1. f3 e5 2. g4", " Qh4#"),
    ("checkmate_in_one", {"inputs": "Find a checkmate-in-one move.\n\n1. f3 e5 2. g4 ", "targets": ["Qh4#"]},
     "1. f3 e5 2. g4", " Qh4#"),
    ("worked_answer", {"question": "Q?", "answer": "3 + 4 = <<3+4=7>>7\n#### 7"}, "Question: Q?\nAnswer:",
     " 3 + 4 = 7\n#### 7"),
]  # fmt: skip


PAIRS = {
    "hh_rlhf": {"chosen": "\n\nHuman: Hi\n\nAssistant: Good.", "rejected": "\n\nHuman: Hi\n\nAssistant: Bad."},
    "preference": {"prompt": "Hi", "chosen": "Good.", "rejected": "Bad."},
    "jsonl_triplet_pairs": {"prompt": "Hi", "first": "Good.", "second": "Bad.", "label": "A"},
}


def test_every_task_is_tried_here() -> None:
    tried = {case[0] for case in (*BINARY, *SEVERAL, *CHOSEN, *GENERATED)} | {*PAIRS}
    assert {*TASKS} - tried == {"ethics_utilitarianism", "chess_puzzles"}


@pytest.mark.parametrize(("task", "row", "text", "label"), [*BINARY, *SEVERAL])
def test_a_labelled_row_gives_one_example_or_none(
    task: str, row: Mapping[str, Any], text: str, label: int | None
) -> None:
    examples = convert(task, row)
    assert [(e.text, e.label) for e in examples] == ([] if label is None else [(text, label)])


@pytest.mark.parametrize(("task", "row", "right"), CHOSEN)
def test_a_question_gives_its_right_answer_and_a_wrong_one(task: str, row: Mapping[str, Any], right: str) -> None:
    good, bad = convert(task, row)
    assert (good.text, good.label, bad.label) == (right, 1, 0)
    assert good.group == bad.group
    assert bad.text != good.text
    assert convert(task, dict(reversed([*row.items()]))) == [good, bad]


def test_wrong_answers_are_drawn_from_all_of_them_and_never_read_like_the_right_one() -> None:
    rows = [{"question": f"Q{n}", "choices": ["Right", "right ", "x", "y", "z"], "answer": 0} for n in range(200)]
    drawn = [convert("multiple_choice", row)[1].text.partition("Answer: ")[2] for row in rows]
    assert {text: drawn.count(text) > 40 for text in drawn} == {"x": True, "y": True, "z": True}
    assert convert("multiple_choice", {"question": "Q", "choices": ["same", "Same"], "answer": 0}) == []


@pytest.mark.parametrize(("task", "row", "text", "target"), GENERATED)
def test_a_generation_row_ends_where_the_target_begins(
    task: str, row: Mapping[str, Any], text: str, target: str
) -> None:
    (example,) = convert(task, row)
    assert (example.text, example.target, example.label) == (text, target, 0)


@pytest.mark.parametrize("task", sorted(PAIRS))
def test_a_pair_is_labelled_one_when_the_first_is_preferred(task: str) -> None:
    (example,) = convert(task, PAIRS[task])
    assert example.text_other is not None
    better = example.text if example.label == 1 else example.text_other
    assert better.endswith("Good.")


def test_the_order_of_pairs_is_a_fair_coin() -> None:
    rows = [{"prompt": f"P{n}", "chosen": "a", "rejected": "b"} for n in range(400)]
    labels = [convert("preference", row)[0].label for row in rows]
    assert 160 < sum(labels) < 240
    rows = [{"baseline": f"good {n}", "less_pleasant": f"bad {n}"} for n in range(400)]
    examples = [convert("ethics_utilitarianism", row)[0] for row in rows]
    assert 160 < sum(e.label for e in examples) < 240
    assert all(e.text.startswith("Scenario 1: good") == (e.label == 1) for e in examples)


def test_gold_letters_and_labels_are_not_in_the_text() -> None:
    texts = [e.text for e in convert("openbookqa", {"question_stem": "Q", "choices": CHOICES, "answerKey": "A"})]
    assert not any(text.endswith(f" {letter}") for text in texts for letter in "ABCD")
    rows = [{"scenario": "S [SEP] kind", "label": label} for label in (0, 1)]
    assert convert("ethics_virtue", rows[0])[0].text == convert("ethics_virtue", rows[1])[0].text


@pytest.mark.parametrize(
    ("task", "left", "right"),
    [
        ("boolq", {"passage": "A b", "question": "x", "answer": True},
         {"passage": "a  B ", "question": "y", "answer": False}),
        ("vader", {"id": "7_1", "mean": 1, "text": "x"}, {"id": "7_2", "mean": -1, "text": "y"}),
        ("wic", {"word": "w", "sentence1": "a", "sentence2": "b", "label": 0},
         {"word": "w", "sentence1": "c", "sentence2": "d", "label": 1}),
        ("hh_rlhf", PAIRS["hh_rlhf"], {"chosen": "\n\nHuman: Hi\n\nAssistant: A\n\nHuman: B", "rejected": "x"}),
        ("text_label", {"text": "x", "label": 0, "group": 3}, {"text": "y", "label": 1, "group": "3"}),
    ],
)  # fmt: skip
def test_related_rows_are_one_group(task: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> None:
    assert convert(task, left)[0].group == convert(task, right)[0].group


def test_questions_on_one_passage_are_never_torn_apart(tmp_path: Path) -> None:
    rows = [
        SCIQ | {"question": f"Q{n}?", "correct_answer": f"yes {n}", "support": f"Passage {n // 3}." if n < 90 else " "}
        for n in range(120)
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    examples = build_examples(data_settings(task="sciq_with_support"), tmp_path)
    passages = [text.partition("\n")[0] for text in examples["text"].to_pylist()]
    for seed in range(5):
        parts = assign(examples, Partition(seed=seed, validation=0.1, test=0.25)).tolist()
        dealt = {pair for pair in zip(passages, parts, strict=True) if pair[0].startswith("Passage")}
        assert len(dealt) == 30
    assert len({*examples["group"].to_pylist()}) == 30 + 30


def test_a_missing_column_names_task_column_and_what_is_there() -> None:
    with pytest.raises(
        DataError, match=r"task 'boolq': row 7 has no column 'answer'. Columns found: passage, question\."
    ):
        find("boolq").examples({"passage": "", "question": ""}, 7)
    with pytest.raises(DataError, match=r"'jsonl_triplet': row 0 has no column 'choice'"):
        convert("jsonl_triplet", {"question": "Q", "label": True})


@pytest.mark.parametrize(
    ("task", "row"),
    [
        ("cola", {"sentence": "x", "label": 2}),
        ("cola", {"sentence": "x", "label": "maybe"}),
        ("anli", {"premise": "x", "hypothesis": "y", "label": 3}),
        ("cola", {"sentence": "x", "label": 0.5}),
        ("openbookqa", {"question_stem": "Q", "choices": CHOICES, "answerKey": "E"}),
        ("piqa", {"goal": "G", "sol1": "x", "sol2": "y", "label": 2}),
        ("checkmate_in_one", {"inputs": "Find a move.", "targets": ["Qh4#"]}),
        ("jsonl_triplet_pairs", {"prompt": "P", "first": "x", "second": "y", "label": "C"}),
    ],
)
def test_a_row_that_does_not_fit_the_task_is_refused(task: str, row: Mapping[str, Any]) -> None:
    with pytest.raises(DataError, match=f"task '{task}': row 0 does not fit"):
        convert(task, row)


def test_the_label_of_a_binary_row_is_in_no_text() -> None:
    for task, row in SAMPLES.items():
        column = next((c for c in ("label", "answer") if row.get(c) in (0, 1)), None)
        examples = convert(task, row) if task not in ("chess_puzzles",) else []
        if column and len(examples) == 1 and examples[0].text_other is None:
            flipped = convert(task, {**row, column: type(row[column])(1 - row[column])})
            assert [e.text for e in flipped] == [examples[0].text], task
            assert flipped[0].label != examples[0].label, task


def test_a_wrong_answer_does_not_come_with_the_right_one() -> None:
    for task, row, right in CHOSEN:
        answer = right.rpartition(": ")[2] if ": " in right else "He sits."
        _, bad = convert(task, row)
        assert answer not in bad.text, task
