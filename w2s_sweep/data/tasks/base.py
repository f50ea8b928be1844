"""A task turns one row of its source into labelled texts: a pure function of the row, without a random generator."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from w2s_sweep.data.hashing import group_of, stable_hash
from w2s_sweep.errors import DataError
from w2s_sweep.registry import Place, Registry, require_version

Row = Mapping[str, Any]
Kind = Literal["classify", "pair", "generate"]


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled text."""

    text: str
    label: int
    """Its class: 0, 1, ... Pairs: 1 if `text` is preferred to `text_other`. Generation: always 0."""
    group: str
    """Rows with the same group stay in one half, and never on both sides of training and test."""
    text_other: str | None = None
    """Second text of a pair."""
    target: str | None = None
    """Text to generate after `text`."""
    linked: str | None = None
    """Another group this row belongs to as well: the two become one."""
    question: str | None = None
    """The question that it answers, where that is not its group: of several about one passage."""


class Odd(ValueError):
    """A value of a row that is not what a task reads; `reason` is what such rows are counted by."""

    def __init__(self, text: str, reason: str):
        super().__init__(text)
        self.reason = reason


class OddRow(DataError):
    """A row that does not fit its task."""

    def __init__(self, text: str, reason: str):
        super().__init__(text)
        self.reason = reason


QUESTION = "question"
"""Column that says which rows are answers to one question; it is read where `dataset.columns` names it."""
Convert = Callable[[Row], Sequence[Example]]
TWO = ("0", "1")
"""What two classes without names are called."""


@dataclass(frozen=True)
class Task:
    """How the rows of a kind of source become examples."""

    name: str
    columns: tuple[str, ...]
    """Columns that `convert` reads; a source without one of them is refused."""
    convert: Convert
    """The examples of one row; none for a row without a label."""
    kind: Kind = "classify"
    optional: tuple[str, ...] = ()
    """Columns that `convert` reads where they exist."""
    thin_by: tuple[str, ...] = ()
    """Columns that are the same for all rows of a group: sources of millions of rows are thinned by their hash."""
    legal: Callable[[str, str], bool | None] | None = None
    """Generation: whether an answer to a text is a possible one at all; None where that cannot be told."""
    answer: Callable[[str], str | None] | None = None
    """Generation: what a written text answers, in one spelling for equal answers; None where it answers nothing. Texts
    are right where they answer what the target does. Without it the whole text is the answer."""
    fixed_halves: bool = False
    """Whether `train_split` names two splits, `a+b`, that are half A and half B as they stand."""
    version: int | None = None
    """Bumped by hand whenever the conversion would give other examples for the same rows: it enters the keys. None is
    the first version of a task of this package; a task outside it must have one, from 1 on."""
    classes: tuple[str, ...] = TWO
    """What its classes 0, 1, ... are called: as many as there are names."""
    own_classes: bool = False
    """Whether the classes are those that `dataset.labels` names, where it names some."""
    named_question: bool = False
    """Whether the optional column `question` only names the question that a row answers, and `convert` leaves it to
    whoever reads the rows: its column says which rows are of one question, whatever it is called."""
    single_answers: bool = False
    """Whether a row may be one answer of several to a question, so that balancing classes leaves answers out."""
    sample: Row | None = None
    """A made-up row in the schema of the source, for docs/TASKS.md; no row of a published data set."""

    def leaves_answers_out(self, balance: str) -> bool:
        """Whether questions lack some of their answers where a dataset has this `balance`."""
        return self.single_answers and balance == "classes"

    def named_classes(self, labels: Sequence[str] | None) -> tuple[str, ...]:
        """What classes 0, 1, ... are called where a dataset has these `labels`."""
        return tuple(labels) if self.own_classes and labels else self.classes

    def examples(self, row: Row, index: int, classes: int | None = None) -> Sequence[Example]:
        """The examples of row number `index`; DataError naming task, column and the columns found.

        `classes`: how many there are; null: those of the task.
        """
        for column in self.columns:
            if column not in row:
                raise DataError(self._missing(column, row, index))
        try:
            found = self.convert(row)
            _require_classes(found, len(self.classes) if classes is None else classes)
            return found
        except KeyError as error:
            raise DataError(self._missing(str(error.args[0]), row, index)) from error
        except (ValueError, TypeError, IndexError, AttributeError) as error:
            reason = error.reason if isinstance(error, Odd) else "that do not fit the task"
            text = f"task {self.name!r}: row {index} does not fit: {error}. The row: {_show(row)}"
            raise OddRow(text, reason) from error

    def _missing(self, column: str, row: Row, index: int) -> str:
        advice = (
            "Choose dataset=local, the task of such rows."
            if {"text", "label"} <= row.keys() and self.name != "text_label"
            else f"Choose the dataset (its task{_fitting(row)}) that fits the source, or say what the file calls it, "
            f"dataset.columns={{{column}: NAME}}."
        )
        found = ", ".join(sorted(row))
        return f"task {self.name!r}: row {index} has no column {column!r}. Columns found: {found}. {advice}"


TASKS: Registry[Task] = Registry("dataset.task")
"""The tasks by name."""


def register(*tasks: Task) -> None:
    """Make tasks choices of `dataset.task`. RegistrationError for one outside this package without a version."""
    place = Place(str(sys._getframe(1).f_globals["__name__"]))  # pyright: ignore[reportPrivateUsage]
    for task in tasks:
        require_version("task", task.name, task.version, place)
        TASKS.register(task.name, task, place)


def _fitting(row: Row) -> str:
    """Tasks that read the columns of a row, most columns first; one column says too little."""
    fits = [task for _, task in TASKS.items() if len(task.columns) > 1 and {*task.columns} <= {*row}]
    found = sorted((-len(task.columns), task.name) for task in fits)
    return f", such as {' or '.join(name for _, name in found[:2])}," if found else ""


def _require_classes(examples: Sequence[Example], classes: int) -> None:
    for example in examples:
        if not 0 <= example.label < classes:
            raise no_class("label", example.label, classes)


def _show(row: Row, width: int = 60) -> str:
    return ", ".join(f"{name}={str(value)[:width]!r}" for name, value in row.items())


def text(row: Row, column: str) -> str:
    """The text of a column; a missing value is the empty text."""
    value = row[column]
    return "" if value is None else str(value)


def strict_text(row: Row, column: str) -> str:
    """The text of a column that must hold one: rows of one's own are not guessed at."""
    value = row[column]
    if not isinstance(value, str):
        kind = "null" if value is None else type(value).__name__
        raise Odd(
            f"column {column!r} holds {kind}, and a text is needed; name the column with dataset.columns={{{column}: "
            "NAME}, or leave such rows out with dataset.odd_rows=skip",
            f"whose {column} is {kind}",
        )
    return value


def label(row: Row, column: str = "label") -> int | None:
    """An integer label; None where the row is unlabelled (null, empty or -1). Text such as "1" or "true" will do."""
    value = row[column]
    if value is None or value == "":
        return None
    if isinstance(value, str):
        value = {"true": 1, "false": 0}.get(value.strip().lower(), value)
    if isinstance(value, float) and math.isnan(value):
        return None
    try:
        number = int(float(value))
    except (ValueError, TypeError, OverflowError):
        raise Odd(
            f"column {column!r} is {value!r}, no number; name the classes in order, as in dataset.labels=[no,yes]",
            f"whose {column} is no class",
        ) from None
    if number != float(value):
        raise Odd(f"column {column!r} is {value!r}, not a whole number", f"whose {column} is no class")
    return None if number == -1 else number


def binary(row: Row, column: str = "label") -> int | None:
    """A label that must be 0 or 1, or absent."""
    value = label(row, column)
    if value not in (None, 0, 1):
        raise no_class(column, value)
    return value


def no_class(column: str, value: int, classes: int = 2) -> Odd:
    """What is said of a label that is none of the classes."""
    more = "" if classes > 2 else "; more classes are named in order, as in dataset.labels=[anger,joy,sadness]"
    allowed = ", ".join(map(str, range(classes)))
    return Odd(
        f"column {column!r} is {value}, allowed: {allowed}, and -1 or null for unlabelled rows{more}",
        f"whose {column} is no class",
    )


def is_filled(row: Row, column: str) -> bool:
    """Whether a row says something there; an empty cell does not, nor does a number that is absent."""
    value = row.get(column)
    return value is not None and value != "" and value == value


def one(value: str, truth: int | None, *group: str, linked: str | None = None) -> list[Example]:
    """The one example of a row, grouped by the texts `group`; none if it is unlabelled."""
    return [] if truth is None else [Example(value, truth, group_of(*group), linked=linked)]


def right_and_wrong(
    prompt: str,
    answers: Sequence[str],
    gold: int | None,
    *group: str,
    line: str = "\nAnswer: ",
    linked: str | None = None,
) -> list[Example]:
    """Two examples of a multiple-choice question: its right answer and one wrong answer.

    The wrong one is drawn by a hash of group and prompt. `gold`: position of the right answer; `linked`: another group
    of the question. No example for an unlabelled question, or where every answer reads like the right one.
    """
    if gold is None:
        return []
    if not 0 <= gold < len(answers):
        raise ValueError(f"the right answer is number {gold} of {len(answers)}")
    same = answers[gold].casefold().split()
    wrong = [answer for answer in answers if answer.casefold().split() != same]
    if not wrong:
        return []
    name = group_of(*group)
    drawn = wrong[stable_hash("wrong answer", name, prompt) % len(wrong)]
    pair = ((answers[gold], 1), (drawn, 0))
    return [Example(f"{prompt}{line}{answer}", truth, name, linked=linked) for answer, truth in pair]


def letter(row: Row, letters: Sequence[str], column: str = "answerKey") -> int | None:
    """Position of the gold letter (or number) among the choices' letters; None where there is none."""
    key = text(row, column).strip()
    if not key:
        return None
    if key not in letters:
        raise ValueError(f"column {column!r} is {key!r}, the choices are called {', '.join(letters)}")
    return list(letters).index(key)
