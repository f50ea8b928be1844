"""Every task turns rows of the published schema into the right labelled texts, and no text holds its label."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.setups import cell, data_settings, identify
from w2s_sweep.config.dataset import Partition
from w2s_sweep.data.catalogue import COMMAND, catalogue
from w2s_sweep.data.examples import build_examples
from w2s_sweep.data.split import assign
from w2s_sweep.data.tasks import TASKS, Example, find
from w2s_sweep.errors import DataError
from w2s_sweep.plan.inputs import Inputs
from w2s_sweep.stages.data import run

SAMPLES = {name: task.sample for name, task in TASKS.items() if task.sample is not None}
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


def convert(task: str, row: Mapping[str, Any]) -> list[Example]:
    return list(find(task).examples(row, 0))


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


def test_a_puzzle_asks_for_the_reply_to_the_first_move() -> None:
    pytest.importorskip("chess", reason="pip install chess")
    row = {"FEN": "r1bqkbnr/pppp1ppp/2n5/4p3/2B1P3/5Q2/PPPP1PPP/RNB1K1NR b KQkq - 0 3", "Moves": "h7h6 f3f7"}
    (example,) = convert("chess_puzzles", row)
    assert example.target == " Qxf7#"
    assert example.text.startswith("Position: r1bqkbnr/pppp1pp1/2n4p/")


GAME = "1. e4 e5 2. Qh5 Nc6 3. Bc4 Nf6 4."
POSITION = "Position: r1bqkbnr/pppp1pp1/2n4p/4p3/2B1P3/5Q2/PPPP1PPP/RNB1K1NR w KQkq - 0 4\nBest move:"


@pytest.mark.parametrize(
    ("task", "text"), [("checkmate_in_one", GAME), ("chess_moves", GAME), ("chess_puzzles", POSITION)]
)
def test_legal_moves_are_told_from_impossible_ones(task: str, text: str) -> None:
    pytest.importorskip("chess", reason="pip install chess")
    legal = TASKS[task].legal
    assert legal is not None
    assert [legal(text, move) for move in (" Qxf7#", "Qxf7", "a3", " Qxf8#", "Qxf7# a3", "", "--")] == [True] * 3 + [
        False
    ] * 4
    assert legal("not a game", "a3") is None


def test_without_the_chess_package_nothing_is_said_of_legality(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "chess", None)
    legal = TASKS["chess_moves"].legal
    assert legal is not None
    assert legal(GAME, "a3") is None


def test_a_puzzle_without_the_chess_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "chess", None)
    with pytest.raises(DataError, match="pip install chess"):
        convert("chess_puzzles", {"FEN": "", "Moves": ""})


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


def test_the_version_of_a_conversion_enters_the_keys_of_its_task_alone() -> None:
    def data_stage(task: str):
        build = Inputs(cell(dataset=replace(cell().dataset, task=task)), identify)
        return build.stages[build.data()]

    changed = {name for name in TASKS if "task_version" in data_stage(name).preimage["settings"]}
    assert changed == {name for name, task in TASKS.items() if task.version is not None} == {"sciq_with_support"}
    assert data_stage("sciq_with_support").preimage["settings"]["task_version"] == 2
    assert "task_version" not in data_stage("no such task").preimage["settings"]


def test_a_stage_planned_with_another_conversion_is_refused() -> None:
    context: Any = SimpleNamespace(settings=data_settings(task="sciq_with_support"))
    with pytest.raises(DataError, match=r"version 1 of its conversion, here it has version 2.*Submit"):
        run(context)


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


PAPER = (  # noqa: SIM905 - one name a string would fill the screen
    "boolq cosmos_qa dream ethics_justice ethics_deontology ethics_virtue ethics_utilitarianism anli_r2 cola sst2 "
    "hellaswag mc_taco openbookqa paws quail piqa quartz sciq social_iqa multirc wic twitter_sentiment"
).split()
"""The 22 NLP tasks of Burns et al. 2023, appendix A."""
MORE = "amazon_polarity hh_rlhf sciq_with_support sandbox chess_moves chess_puzzles checkmate_in_one".split()  # noqa: SIM905


def test_the_papers_tasks_and_the_usual_others_are_choices() -> None:
    assert len(PAPER) == 22
    found = (Path(__file__).parents[2] / "conf" / "dataset").glob("*.yaml")
    assert {*PAPER, *MORE} <= {path.stem for path in found}


def test_the_page_of_tasks_is_up_to_date() -> None:
    pytest.importorskip("chess", reason="pip install chess")
    assert {*SAMPLES} == {*TASKS}
    root = Path(__file__).parents[2]
    assert (root / "docs" / "TASKS.md").read_text() == catalogue(root / "conf"), f"run: {COMMAND}"


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


def test_every_process_converts_alike() -> None:
    code = (
        "from w2s_sweep.data.tasks import TASKS\n"
        "print([task.examples(task.sample, 0) for name, task in TASKS.items() if name != 'chess_puzzles'])"
    )
    env = dict(os.environ) | {"PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([convert(name, row) for name, row in SAMPLES.items() if name != "chess_puzzles"])


def test_an_unknown_task_lists_the_nearest_first() -> None:
    with pytest.raises(DataError, match=r"dataset.task: unknown name 'sst'. Did you mean 'sst2'"):
        find("sst")
