"""Sources that are labelled texts already, and the three-file form of weak-to-strong research sandboxes."""

from collections.abc import Sequence
from dataclasses import replace

from w2s_sweep.data.hashing import group_of
from w2s_sweep.data.tasks.base import (
    QUESTION,
    Example,
    Row,
    Task,
    binary,
    is_filled,
    label,
    one,
    register,
    strict_text,
    text,
)


def _text_label(row: Row) -> Sequence[Example]:
    """Text and label; rows with the same `group`, else with the same text, are one group. The classes are those that
    `dataset.labels` names, else 0 and 1."""
    value = strict_text(row, "text")
    return one(value, label(row), *_together(row, value))


def _triplet(row: Row) -> Sequence[Example]:
    """question, choice and a true or false label; or text and label. Rows with the same `group`, such as the passage
    that several questions are about, stay together, else those of one question; questions of two groups are never
    one."""
    if "question" not in row:
        return _text_label(row)
    question, group = text(row, "question"), _together(row, text(row, "question"))
    found = one(f"Question: {question}\nAnswer: {text(row, 'choice')}", binary(row), *group)
    if not is_filled(row, "group"):
        return found
    return [replace(example, question=group_of(example.group, question)) for example in found]


def _together(row: Row, alone: str) -> tuple[str, ...]:
    """The texts that name the group of a row: `alone` where it names none."""
    return ("group", text(row, "group")) if is_filled(row, "group") else (alone,)


def _triplet_pairs(row: Row) -> Sequence[Example]:
    """prompt, first and second answer, and the letter of the better one. Rows with the same `group`, such as the
    passage that several prompts are about, stay together, else those of one prompt."""
    prompt, letter = text(row, "prompt"), text(row, "label")
    if not letter:
        return []
    if letter not in ("A", "B"):
        raise ValueError(f"column 'label' is {letter!r}, allowed: A (first is better), B")
    first, second = (f"Question: {prompt}\nAnswer: {text(row, name)}" for name in ("first", "second"))
    return [Example(first, int(letter == "A"), group_of(*_together(row, prompt)), text_other=second)]


register(
    Task(
        "text_label",
        ("text", "label"),
        _text_label,
        optional=("group", QUESTION),
        own_classes=True,
        named_question=True,
        version=2,
        single_answers=True,
        sample={"text": "The parcel came a day early.", "label": 1, "group": "parcels"},
    ),
    Task(
        "jsonl_triplet",
        ("label",),
        _triplet,
        optional=("question", "choice", "text", "group"),
        fixed_halves=True,
        version=3,
        single_answers=True,
        sample={"question": "What is the capital of Peru?", "choice": "Lima", "label": True},
    ),
    Task(
        "jsonl_triplet_pairs",
        ("prompt", "first", "second", "label"),
        _triplet_pairs,
        kind="pair",
        optional=("group",),
        fixed_halves=True,
        version=3,
        sample={
            "prompt": "Name a prime number.",
            "first": "Seven.",
            "second": "Nine.",
            "label": "A",
        },
    ),
)
