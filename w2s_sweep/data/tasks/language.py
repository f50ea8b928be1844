"""Judgements about a sentence, a pair of sentences, or a passage and a statement."""

from collections.abc import Sequence

from w2s_sweep.data.hashing import group_of
from w2s_sweep.data.tasks.base import Example, Row, Task, binary, label, one, text


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
    return one(f"{paragraph}\n{_asked(row)}", binary(row), paragraph)


def _mc_taco(row: Row) -> Sequence[Example]:
    """1: this answer is plausible; a question can have several plausible ones."""
    sentence = text(row, "sentence")
    return one(f"{sentence}\n{_asked(row)}", binary(row), sentence)


def _asked(row: Row) -> str:
    return f"Question: {text(row, 'question')}\nAnswer: {text(row, 'answer')}"


TASKS = (
    Task("cola", ("sentence", "label"), _cola),
    Task("boolq", ("passage", "question", "answer"), _boolq),
    Task("anli_r2", ("premise", "hypothesis", "label"), _anli),
    Task("paws", ("sentence1", "sentence2", "label"), _paws),
    Task("wic", ("word", "sentence1", "sentence2", "label"), _wic),
    Task("multirc", ("paragraph", "question", "answer", "label"), _multirc),
    Task("mc_taco", ("sentence", "question", "answer", "label"), _mc_taco),
)
