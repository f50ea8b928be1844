"""Labels that somebody made elsewhere: a file with an id or a text, and what is said of it, as a distribution.

Nothing is guessed: a value of another type is refused with its column and row, and every row that is not used is
counted by its reason.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.config.supervisor import LabelColumns
from w2s_sweep.data.readers import Row, read_rows
from w2s_sweep.errors import DataError, nearest_first
from w2s_sweep.predictions import SMALLEST

Key = tuple[str, ...]
"""What a row is found by: its id, or its text, or both texts of a pair."""
FORMS = ("label", "probability", "logits", "votes")
"""The columns that say something of an example; a file is read by one of them."""


@dataclass(frozen=True)
class Said:
    """What a file says of the examples that it names, each once."""

    keys: Sequence[Key]
    by: str
    """`id` or `text`: what keys are."""
    probs: Array
    """float64 [keys, classes]; rows sum to 1."""
    logits: Array
    """float64 [keys, classes]: as given, or the logarithm of `probs`."""
    more: Mapping[str, Sequence[Any]]
    """Further columns that were asked for: the value of each key's first row."""
    rows: int
    """Rows of the file."""
    left_out: Mapping[str, int]
    """Why rows were not used -> how many."""

    @property
    def classes(self) -> int:
        return self.probs.shape[1]


def read_said(
    path: Path,
    columns: LabelColumns,
    *,
    classes: Sequence[str] | None = None,
    repeated: str = "refuse",
    least: int = 2,
    more: Sequence[str] = (),
    field: str = "supervisor",
) -> Said:
    """Read a file of labels.

    `classes`: what it calls class 0, 1, ...; `least`: classes that there are at least; `repeated`: see
    `config.supervisor`; `more`: further columns that every row must have; `field`: what errors call the setting.
    Raises DataError.
    """
    rows = list(read_rows(path, "train"))
    if not rows:
        raise DataError(f"{field}: {path} has no rows.")
    by, key_names = _key_columns(rows[0], columns, path, field)
    form, name = _form(rows[0], columns, path, field)
    if lacking := [one for one in more if one not in rows[0]]:
        raise DataError(f"{field}: {path} has no column {lacking[0]!r}. Columns found: {_names(rows[0])}.")
    parse = PARSERS[form]
    found: dict[Key, list[tuple[int, Array]]] = {}
    extra: dict[Key, Row] = {}
    unlabelled = 0
    for number, row in enumerate(rows):
        value = value_of(row, name, number, path)
        try:
            said = parse(value, classes)
        except (ValueError, TypeError) as error:
            raise DataError(f"{field}: {path}, row {number}, column {name!r}: {error}.") from error
        key = tuple(text_of(row, one, number, path, field) for one in key_names)
        if said is None:
            unlabelled += 1
        else:
            found.setdefault(key, []).append((number, said))
            extra.setdefault(key, row)
    width = max([least, len(classes or ()), *(len(said) for each in found.values() for _, said in each)])
    whole = [_one(each, width, form, repeated, key, path, field) for key, each in found.items()]
    repeats = sum(len(each) - 1 for each in found.values())
    left_out = {"rows without a label": unlabelled}
    left_out |= {"repeated rows": repeats} if repeated == "refuse" else {}
    stacked = np.array(whole, dtype=np.float64).reshape(len(whole), width)
    probs, logits = _both(stacked, form)
    return Said(
        keys=list(found),
        by=by,
        probs=probs,
        logits=logits,
        more={one: [extra[key][one] for key in found] for one in more},
        rows=len(rows),
        left_out={reason: count for reason, count in left_out.items() if count},
    )


def _key_columns(row: Row, columns: LabelColumns, path: Path, field: str) -> tuple[str, list[str]]:
    """(`id` or `text`, the columns that hold it): what was named, else an id before a text."""
    named = {one: getattr(columns, one) for one in ("id", "text", "text_other")}
    _require_there(row, {one: name for one, name in named.items() if name is not None}, path, field)
    if named["id"] is None and (named["text"] is not None or "id" not in row):
        text = named["text"] or "text"
        if text not in row:
            raise DataError(
                f"{field}: {path} has neither an id nor a text. Columns found: {_names(row)}. Name one, as in "
                f"{field}.columns.id=NAME or {field}.columns.text=NAME."
            )
        other = named["text_other"] or ("text_other" if "text_other" in row else None)
        return "text", [text] if other is None else [text, other]
    return "id", [named["id"] or "id"]


def _form(row: Row, columns: LabelColumns, path: Path, field: str) -> tuple[str, str]:
    """(how labels are said, the column that holds them)."""
    named = {form: name for form in FORMS if (name := getattr(columns, form)) is not None}
    _require_there(row, named, path, field)
    there = named or {form: form for form in FORMS if form in row}
    if len(there) == 1:
        return next(iter(there.items()))
    what = "no labels" if not there else f"several kinds of labels ({', '.join(there)})"
    raise DataError(
        f"{field}: {path} has {what}. Columns found: {_names(row)}. Name one of {', '.join(FORMS)}, as in "
        f"{field}.columns.{next(iter(there), 'label')}=NAME."
    )


def _require_there(row: Row, named: Mapping[str, str], path: Path, field: str) -> None:
    for one, name in named.items():
        if name not in row:
            near = ", ".join(nearest_first(name, row))
            raise DataError(f"{field}.columns.{one}: {path} has no column {name!r}. Columns found: {near}.")


def _names(row: Row) -> str:
    return ", ".join(sorted(row))


def value_of(row: Row, name: str, number: int, path: Path) -> Any:
    """What a row has in a column that the first row has. DataError where it has none."""
    if name not in row:
        raise DataError(f"{path}, row {number}: it has no column {name!r}, which the first row has.")
    return row[name]


def text_of(row: Row, name: str, number: int, path: Path, field: str) -> str:
    """An id or a text by which an example is found. DataError for what is neither text nor a whole number."""
    value = value_of(row, name, number, path)
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # ids that are numbers
    raise DataError(
        f"{field}: {path}, row {number}, column {name!r} holds {type(value).__name__}, and examples are found by text."
    )


def hard(value: Any, classes: Sequence[str] | None) -> int | None:
    """The class that a hard label names; None for a row without one. ValueError otherwise."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if classes is not None:
        said = value if isinstance(value, str) else json.dumps(value)
        if said.strip() not in classes:
            raise ValueError(f"{value!r} is none of the classes {', '.join(nearest_first(said, classes))}")
        return list(classes).index(said.strip())
    if not isinstance(value, str | int | float):
        raise TypeError(f"a hard label is a number, got {type(value).__name__}")
    try:
        number = float(value)
    except ValueError:
        raise ValueError(
            f"{value!r} is no number; name the classes in order with supervisor.classes=[CLASS_0,CLASS_1]"
        ) from None
    if number == -1:
        return None
    if not number.is_integer() or not 0 <= number < 100:
        raise ValueError(f"{value!r} is no class; allowed are 0, 1, ..., and -1 or null for none")
    return int(number)


def _of_label(value: Any, classes: Sequence[str] | None) -> Array | None:
    found = hard(value, classes)
    return None if found is None else np.eye(found + 1)[found]


def _of_probability(value: Any, classes: Sequence[str] | None) -> Array | None:
    numbers = _numbers(value)
    if numbers is None:
        return None
    if min(numbers) < 0 or max(numbers) > 1:
        raise ValueError(f"{value!r} is no probability, which is 0 to 1")
    if len(numbers) == 1:
        return np.array([1 - numbers[0], numbers[0]])
    if abs(sum(numbers) - 1) > 1e-3:
        raise ValueError(f"{value!r} sums to {sum(numbers):.4g}, and the probabilities of all classes sum to 1")
    return np.array(numbers) / sum(numbers)


def _of_logits(value: Any, classes: Sequence[str] | None) -> Array | None:
    numbers = _numbers(value)
    if numbers is None:
        return None
    return np.array([0.0, numbers[0]] if len(numbers) == 1 else numbers)


def _of_votes(value: Any, classes: Sequence[str] | None) -> Array | None:
    votes = read_list(value)
    if votes is None:
        return None
    if not isinstance(votes, list | tuple):
        raise TypeError(f"votes are a list of labels, got {type(votes).__name__}")
    found = [one for vote in votes if (one := hard(vote, classes)) is not None]
    return np.bincount(found).astype(np.float64) / len(found) if found else None


def read_list(value: Any) -> Any:
    """A list that stands as JSON in a field of text, as in CSV."""
    if isinstance(value, str) and value.strip().startswith("["):
        return json.loads(value)
    return None if value == "" or value is None else value


def _numbers(value: Any) -> list[float] | None:
    found = read_list(value)
    if found is None:
        return None
    numbers = [_number(one) for one in (found if isinstance(found, list | tuple) else [found])]
    if all(math.isnan(one) for one in numbers):
        return None
    if not numbers or not all(math.isfinite(one) for one in numbers):
        raise ValueError(f"{value!r} has values that are not finite")
    return numbers


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"a number is needed, got {type(value).__name__}")
    return float(value)


PARSERS: Mapping[str, Callable[[Any, Sequence[str] | None], "Array | None"]] = {
    "label": _of_label,
    "probability": _of_probability,
    "logits": _of_logits,
    "votes": _of_votes,
}


def _one(
    each: Sequence[tuple[int, Array]], width: int, form: str, repeated: str, key: Key, path: Path, field: str
) -> Array:
    """What all rows of one example say together, over `width` classes."""
    if form == "logits" and any(len(said) != width for _, said in each):
        raise DataError(f"{field}: {path}, row {each[0][0]}: it has logits of {len(each[0][1])} classes, not {width}.")
    padded = [np.pad(said, (0, width - len(said))) for _, said in each]
    other = next((number for (number, _), one in zip(each, padded, strict=True) if (one != padded[0]).any()), None)
    if other is None:
        return padded[0]
    if repeated == "refuse":
        raise DataError(
            f"{field}: {path}, rows {each[0][0]} and {other} say different things of {key[0][:60]!r}. Set "
            f"{field}.repeated=mean to count each row as a vote, or leave one of them out."
        )
    return np.mean(padded, axis=0)


def _both(stacked: Array, form: str) -> tuple[Array, Array]:
    """(probabilities, logits) of what the file gives as either."""
    if form == "logits":
        wide = np.exp(stacked - stacked.max(1, keepdims=True)) if len(stacked) else stacked
        return wide / wide.sum(1, keepdims=True), stacked
    return stacked, np.log(np.clip(stacked, SMALLEST, None))
