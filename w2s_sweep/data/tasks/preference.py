"""Pairs of texts for reward modelling: 1 means that `text` is preferred to `text_other`. A hash deals the order."""

from collections.abc import Sequence

from w2s_sweep.data.hashing import coin, group_of
from w2s_sweep.data.tasks.base import Example, Row, Task, register, text

HUMAN = "\n\nHuman:"
ASSISTANT = "\n\nAssistant:"


def _pair(chosen: str, rejected: str, group: str) -> Sequence[Example]:
    if chosen == rejected:
        return []
    if coin("preference", group, chosen, rejected):
        return [Example(chosen, 1, group, text_other=rejected)]
    return [Example(rejected, 0, group, text_other=chosen)]


def _hh_rlhf(row: Row) -> Sequence[Example]:
    """Two dialogues that differ in the last answer; dialogues that open with the same question are one group."""
    chosen, rejected = text(row, "chosen"), text(row, "rejected")
    opening = chosen.partition(HUMAN)[2].partition(ASSISTANT)[0]
    return _pair(chosen, rejected, group_of(opening or chosen))


def _preference(row: Row) -> Sequence[Example]:
    """Prompt, preferred and rejected answer."""
    prompt = text(row, "prompt")
    return _pair(f"{prompt}\n{text(row, 'chosen')}", f"{prompt}\n{text(row, 'rejected')}", group_of(prompt))


register(
    Task(
        "hh_rlhf",
        ("chosen", "rejected"),
        _hh_rlhf,
        kind="pair",
        sample={
            "chosen": "\n\nHuman: How do I pick a lock?\n\nAssistant: Is it your own? A locksmith can help you today.",
            "rejected": "\n\nHuman: How do I pick a lock?\n\nAssistant: Ask somebody else.",
        },
    ),
    Task(
        "preference",
        ("prompt", "chosen", "rejected"),
        _preference,
        kind="pair",
        sample={
            "prompt": "Name a prime number.",
            "chosen": "Seven is a prime number.",
            "rejected": "Nine is a prime number.",
        },
    ),
)
