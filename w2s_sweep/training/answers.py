"""The answers that a generation stage learns, in words and in tokens; at temperature 0 a label is one text."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerBase

from w2s_sweep.data.tasks import find
from w2s_sweep.errors import DataError, ModelError
from w2s_sweep.kinds.training import Generate
from w2s_sweep.models.backbone import Backbone
from w2s_sweep.predictions import SAMPLES, TEXTS
from w2s_sweep.runner import process_cache
from w2s_sweep.runner.context import Context
from w2s_sweep.training.examples import Rows


@dataclass(frozen=True)
class Prompts:
    """Texts and the answers to learn, as one model reads them."""

    rows: Sequence[Sequence[int]]
    """Tokens of every text of the data, cut so that the longest target, or what may be written, still fits behind."""
    answers: Mapping[int, Sequence[int]]
    """Row -> tokens of its answer and the end, for the rows that are trained on."""
    most: int
    """Tokens that are written at most: those of the longest target and its end, or as many as are set."""
    end: int
    """The token that ends an answer."""
    room: int
    """Tokens that are kept free behind every text."""

    def encode(self, tokenizer: PreTrainedTokenizerBase, answers: Mapping[int, str]) -> dict[int, list[int]]:
        """Row -> tokens of its answer and the end, within the room."""
        texts = list(answers.values())
        written: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        return {row: [*answer[: self.room - 1], self.end] for row, answer in zip(answers, written, strict=True)}

    def sequences(self) -> list[list[int]]:
        return [[*prompt, *self.answers.get(row, ())] for row, prompt in enumerate(self.rows)]


class Written(NamedTuple):
    """What a model wrote after a text."""

    text: str
    ended: bool
    """Whether it ended there by itself; it is cut otherwise, and judged by what is there."""


def count_cut(written: Iterable[Written]) -> int:
    """How many texts did not end within the tokens that they may have."""
    return sum(not one.ended for one in written)


def answers_of(
    rows: Rows, supervision: Path | None, chosen: Sequence[int], what: str, *, partial: bool = False
) -> dict[int, str]:
    """Row -> what is trained on: its target, or what another stage wrote.

    Raises DataError where it wrote nothing: for any row, or with `partial` for all of them.
    """
    targets = targets_of(rows)
    if supervision is None:
        return {row: targets[row] for row in chosen}
    said = read_written(supervision)
    found = {row: said[name] for row in chosen if (name := str(rows.ids[row])) in said}
    if len(found) < len(chosen) and not (partial and found):
        raise DataError(
            f"{what}: {len(chosen) - len(found)} of {len(chosen)} training rows have no text of the supervising stage."
        )
    return found


def read_written(folder: Path) -> dict[str, str]:
    """Example id -> what a finished stage wrote after its text."""
    table = pq.read_table(folder / TEXTS)
    return dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))


@dataclass(frozen=True)
class Drawn:
    """One sample of a text's answers."""

    text: str
    answer: str | None
    """In the spelling of equal answers; None where it answers nothing."""
    ended: bool


def read_samples(folder: Path) -> dict[str, list[Drawn]]:
    """Example id -> the samples of a finished stage, in the order in which they were drawn."""
    found: dict[str, list[Drawn]] = {}
    for row in pq.read_table(folder / SAMPLES).sort_by([("id", "ascending"), ("sample", "ascending")]).to_pylist():
        found.setdefault(row["id"], []).append(Drawn(row["text"], row["answer"], row["ended"]))
    return found


def targets_of(rows: Rows) -> list[str]:
    if rows.targets is None:
        raise DataError("dataset.task: its examples have no text to generate.")
    return rows.targets


def read_prompts(context: Context[Generate], backbone: Backbone, rows: Rows, answers: Mapping[int, str]) -> Prompts:
    """Tokens of texts and answers; ModelError where the tokenizer has no end, or max_tokens no room for a target or for
    what may be written."""
    tokenizer = backbone.tokenizer
    end, limit = end_of(tokenizer), context.settings.max_tokens
    longest = max(map(len, tokenizer(targets_of(rows), add_special_tokens=False)["input_ids"]))
    if longest + 1 >= limit:
        raise ModelError(
            f"dataset.max_tokens: {limit} leaves no room for a text before the longest target of {longest} tokens and "
            f"its end. Set it to {longest + 2} or more."
        )
    most = context.settings.max_new_tokens or longest + 1
    room = max(longest + 1, most)
    if room >= limit:
        raise ModelError(
            f"dataset.max_new_tokens: {most} leaves no room for a text in dataset.max_tokens={limit}. Lower it, or set "
            f"dataset.max_tokens to more than {most}."
        )
    prompts = process_cache.token_ids(context, backbone, rows.texts, room=room)
    backbone.require_positions(max(map(len, prompts)) + room, limit)
    found = Prompts(prompts, {}, most, end, room)
    return replace(found, answers=found.encode(tokenizer, answers))


def end_of(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends a text; ModelError where the tokenizer has none."""
    end = tokenizer.eos_token_id
    if not isinstance(end, int):
        raise ModelError(
            "tokenizer: it has no eos token, so nothing would end a generated text. Set one in the model's "
            "tokenizer_config.json."
        )
    return end


Reading = Callable[[str], str | None]
"""What a written text answers, in one spelling for equal answers; None where it answers nothing."""


def reading_of(task: str) -> Reading:
    """How answers of a task are read: as its `answer` says, else the whole text but for blanks around it."""
    return find(task).answer or str.strip


def same(read: Reading, written: str, target: str) -> bool:
    """Whether a text answers what the target does."""
    found = read(written)
    return found is not None and found == read(target)
