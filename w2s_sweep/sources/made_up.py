"""Rows that are computed: tasks small enough for the smallest models, which nobody has to fetch.

`sums`: a question such as "7 + 4 - 9 + 12 = ?", and an answer that works it out from left to right and ends like those
of GSM8K: "7 + 4 = 11. 11 - 9 = 2. 2 + 12 = 14. #### 14". Columns question and answer.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from w2s_sweep.config.plain import plain
from w2s_sweep.config.source import MadeUpSource
from w2s_sweep.errors import SourceError
from w2s_sweep.sources.cache import cache_root, publishing

VERSION = 1
"""Bumped by hand whenever the same settings would give other rows."""
TRIES = 50
"""Draws for each row that is wanted, after which there are taken to be no more."""


def identify(source: MadeUpSource) -> dict[str, Any]:
    """The settings and the version of the code; nothing is computed. Raises SourceError."""
    fewest, most = source.terms
    if not 2 <= fewest <= most <= 50:
        raise SourceError(
            f"source.terms: got {list(source.terms)}, allowed: two numbers from 2 to 50, the lower first."
        )
    named = plain(source) | {"version": VERSION}
    if source.largest == 19:  # what there was before there was a choice: keys stay
        del named["largest"]
    return named


def fetch(source: MadeUpSource) -> Path:
    """A folder of the cache with train.jsonl and test.jsonl, made if it is not there yet. Raises SourceError."""
    folder, (fewest, most) = _place(source), source.terms
    if not folder.exists():
        drawn = list(islice(_rows(source), source.test + source.train))
        if len(drawn) < source.test + source.train:
            raise SourceError(
                f"source.train: {source.train} rows are wanted beside {source.test} of source.test, but only "
                f"{len(drawn):,} different ones were found among the sums of {fewest} to {most} "
                "numbers. Lower them, or raise source.terms or source.largest."
            )
        with publishing(folder) as work:
            _write(work / "test.jsonl", drawn[: source.test])
            _write(work / "train.jsonl", drawn[source.test :])
    return folder


def find(source: MadeUpSource) -> Path | None:
    """The folder, if it was made."""
    folder = _place(source)
    return folder if folder.exists() else None


def _place(source: MadeUpSource) -> Path:
    digest = hashlib.sha256(json.dumps(identify(source), sort_keys=True).encode()).hexdigest()[:20]
    return cache_root() / "made_up" / f"{source.rows}-{digest}"


def _write(path: Path, rows: list[tuple[str, str]]) -> None:
    lines = (json.dumps({"question": question, "answer": answer}) for question, answer in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _rows(source: MadeUpSource) -> Iterator[tuple[str, str]]:
    """Different questions with their answers, in the order in which they are drawn."""
    fewest, most = source.terms
    draw = random.Random(source.seed)
    seen: set[str] = set()
    for _ in range(TRIES * (source.train + source.test)):
        numbers = [draw.randint(1, source.largest) for _ in range(draw.randint(fewest, most))]
        signs = [draw.choice("+-") for _ in numbers[1:]]
        question = f"{numbers[0]}" + "".join(f" {sign} {n}" for sign, n in zip(signs, numbers[1:], strict=True))
        if question not in seen:
            seen.add(question)
            yield f"{question} = ?", _work_out(numbers, signs)


def _work_out(numbers: list[int], signs: list[str]) -> str:
    total, steps = numbers[0], list[str]()
    for sign, n in zip(signs, numbers[1:], strict=True):
        then = total + n if sign == "+" else total - n
        steps.append(f"{total} {sign} {n} = {then}.")
        total = then
    return " ".join([*steps, f"#### {total}"])
