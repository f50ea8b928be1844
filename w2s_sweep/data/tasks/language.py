"""Judgements about a sentence, a pair of sentences, or a passage and a statement."""

from collections.abc import Sequence

from w2s_sweep.data.hashing import group_of
from w2s_sweep.data.tasks.base import Example, Row, Task, binary, label, one, register, text


def _cola(row: Row) -> Sequence[Example]:
    """1: the sentence is acceptable English."""
    return one(text(row, "sentence"), binary(row), text(row, "sentence"))


def _boolq(row: Row) -> Sequence[Example]:
    """1: yes."""
    passage = text(row, "passage")
    return one(f"{passage}\nQuestion: {text(row, 'question')}?", binary(row, "answer"), passage)


def _anli(row: Row) -> Sequence[Example]:
    """1: the premise entails the hypothesis; neutral and contradiction are both 0."""
    premise, number = text(row, "premise"), label(row)
    value = f"{premise}\nHypothesis: {text(row, 'hypothesis')}"
    return one(value, None if number is None else int(number == 0), premise)


def _anli_three(row: Row) -> Sequence[Example]:
    """Three classes: 0 entailment, 1 neutral, 2 contradiction."""
    premise = text(row, "premise")
    return one(f"{premise}\nHypothesis: {text(row, 'hypothesis')}", label(row), premise)


def _paws(row: Row) -> Sequence[Example]:
    """1: the second sentence is a paraphrase of the first."""
    first, second = text(row, "sentence1"), text(row, "sentence2")
    return one(f"Sentence 1: {first}\nSentence 2: {second}", binary(row), first, linked=group_of(second))


def _wic(row: Row) -> Sequence[Example]:
    """1: the word has the same sense in both sentences."""
    word = text(row, "word")
    value = f"Sentence 1: {text(row, 'sentence1')}\nSentence 2: {text(row, 'sentence2')}\nWord: {word}"
    return one(value, binary(row), word)


def _multirc(row: Row) -> Sequence[Example]:
    """1: this answer is right; a question can have several right ones."""
    paragraph = text(row, "paragraph")
    return one(f"{paragraph}\n{_write_question(row)}", binary(row), paragraph)


def _mc_taco(row: Row) -> Sequence[Example]:
    """1: this answer is plausible; a question can have several plausible ones."""
    sentence = text(row, "sentence")
    return one(f"{sentence}\n{_write_question(row)}", binary(row), sentence)


def _write_question(row: Row) -> str:
    return f"Question: {text(row, 'question')}\nAnswer: {text(row, 'answer')}"


register(
    Task("cola", ("sentence", "label"), _cola, sample={"sentence": "The letter was wrote by her sister.", "label": 0}),
    Task(
        "boolq",
        ("passage", "question", "answer"),
        _boolq,
        sample={
            "passage": "The Elbe rises in the mountains of the north of Bohemia and ends in the North Sea.",
            "question": "does the elbe end in the baltic sea",
            "answer": False,
        },
    ),
    Task(
        "anli_r2",
        ("premise", "hypothesis", "label"),
        _anli,
        sample={
            "premise": "Mira Holt was born in Turku and moved to Oslo at the age of nine.",
            "hypothesis": "Mira Holt has lived in Norway.",
            "label": 0,
        },
    ),
    Task(
        "anli",
        ("premise", "hypothesis", "label"),
        _anli_three,
        classes=("entailment", "neutral", "contradiction"),
        sample={
            "premise": "The ferry to the island leaves at noon, in winter on Sundays alone.",
            "hypothesis": "The ferry is often late.",
            "label": 1,
        },
    ),
    Task(
        "paws",
        ("sentence1", "sentence2", "label"),
        _paws,
        sample={
            "sentence1": "The river flows from the lake to the old mill.",
            "sentence2": "The river flows from the old mill to the lake.",
            "label": 0,
        },
    ),
    Task(
        "wic",
        ("word", "sentence1", "sentence2", "label"),
        _wic,
        sample={
            "word": "bank",
            "sentence1": "They sat on the bank of the canal.",
            "sentence2": "The bank lent her the money.",
            "label": 0,
        },
    ),
    Task(
        "multirc",
        ("paragraph", "question", "answer", "label"),
        _multirc,
        sample={
            "paragraph": "Ana fed the two cats before she left. Ben watered the plants.",
            "question": "Who took care of living things?",
            "answer": "Ana and Ben",
            "label": 1,
        },
    ),
    Task(
        "mc_taco",
        ("sentence", "question", "answer", "label"),
        _mc_taco,
        sample={
            "sentence": "She walked to the shop to buy bread.",
            "question": "How long did she walk?",
            "answer": "ten minutes",
            "label": 1,
        },
    ),
)
