"""What a table of examples holds, as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from w2s_sweep.data.hashing import ranks, stable_hash
from w2s_sweep.data.leaks import scan_leaks
from w2s_sweep.data.tasks.base import TWO
from w2s_sweep.data.tokens import tokenise

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEXTS = ("text", "text_other", "target")
"""Columns that a model reads or writes, where a table has them."""


@dataclass(frozen=True)
class Reader:
    """A model, as far as it decides what is left of a text."""

    name: str
    tokenizer: PreTrainedTokenizerBase
    max_tokens: int
    """Of a text, where something is to be generated after it together with that."""

    def lengths(self, texts: Sequence[str], *, special: bool = True) -> list[int]:
        """Tokens of whole texts, with or without the special ones."""
        ids = self.tokenizer(list(texts), add_special_tokens=special)["input_ids"]
        return [len(row) for row in ids]  # pyright: ignore[reportArgumentType,reportUnknownVariableType]

    def leaving(self, room: int) -> Reader:
        """The same with `room` tokens fewer for a text."""
        return replace(self, max_tokens=self.max_tokens - room)

    def as_read(self, text: str) -> str:
        """The text in its tokens, cut as in training."""
        return str(self.tokenizer.decode(tokenise(self.tokenizer, [text], self.max_tokens)[0]))


def describe(
    examples: pa.Table,
    parts: Sequence[str] | None = None,
    reader: Reader | None = None,
    samples: int = 3,
    width: int = 300,
    names: Sequence[str] = TWO,
) -> str:
    """Counts of labels and groups, lengths, a leak scan and a few rows of every class.

    `parts`: part of each row, from `assign`; without it rows are counted by origin. `reader`: adds lengths in tokens
    and the share of texts that are cut, and shows the rows as this model reads them. `width`: characters shown of a
    text; 0 is all. `names`: of classes 0, 1, ...
    """
    rows = examples["origin"].to_pylist() if parts is None else list(parts)
    if reader is not None and "target" in examples.column_names:  # and the token that ends an answer
        reader = reader.leaving(max(reader.lengths(examples["target"].to_pylist(), special=False)) + 1)
    lines = [f"{examples.num_rows} examples in {len(set(examples['group'].to_pylist()))} groups", ""]
    lines += _counts(examples, rows, names)
    lines += ["", *_lengths(examples, reader)]
    if "target" not in examples.column_names:
        leak = scan_leaks(examples.filter(pc.greater_equal(examples["label"], 0)))
        verdict = "no leak found"
        if leak.found or leak.partial:
            verdict = "LEAK: a text gives its label away" if leak.found else "the answer alone tells part of its label"
        answers = "" if leak.answer_auc is None else f"; of the last line alone: AUC {leak.answer_auc:.3f}"
        lines.append(
            f"counting words: AUC {leak.auc:.3f}; the most telling word {leak.token!r} is right in "
            f"{100 * leak.token_accuracy:.1f} %{answers}: {verdict}"
        )
    return "\n".join([*lines, *_samples(examples, reader, names, samples, width)])


def _counts(examples: pa.Table, rows: Sequence[str], names: Sequence[str]) -> list[str]:
    """A line a part; a text to be generated is a label of its own, so there is nothing to count by."""
    labels = examples["label"].to_numpy()
    groups = np.array(examples["group"].to_pylist())
    named = np.array(rows)
    classes = [] if "target" in examples.column_names else np.unique(labels).tolist()
    lines = [f"{'part':<12}{'examples':>10}{'groups':>10}" + "".join(f"{_label(c, names):>18}" for c in classes)]
    for part in sorted(set(rows)):
        chosen = named == part
        counts = [int((labels[chosen] == c).sum()) for c in classes]
        shares = "".join(f"{f'{count} ({100 * count / chosen.sum():.1f} %)':>18}" for count in counts)
        lines.append(f"{part:<12}{chosen.sum():>10}{len(np.unique(groups[chosen])):>10}{shares}")
    return lines


def _label(c: int, names: Sequence[str]) -> str:
    if c < 0:
        return "no label"
    return f"label {c}" if names[c] == str(c) else f"{c} = {names[c]}"[:17]


def _lengths(examples: pa.Table, reader: Reader | None) -> list[str]:
    """Of both texts of a pair, and of what is to be generated apart from the texts before it."""
    columns: dict[str, list[str]] = {
        name: examples[name].to_pylist() for name in TEXTS if name in examples.column_names
    }
    texts = {"": columns["text"] + columns.get("text_other", [])}
    texts |= {" of targets": columns["target"]} if "target" in columns else {}
    lines: list[str] = []
    for of, found in texts.items():
        empty = f"; {sum(not text for text in found)} empty"
        lines.append(f"{'characters' + of:<22}{_quantiles([len(text) for text in found])}{empty}")
        if reader is not None:
            counts = reader.lengths(found, special=not of)
            over = 100 * np.mean(np.array(counts) > reader.max_tokens)
            cut = "" if of else f"; {over:.1f} % over {reader.max_tokens} and cut at their beginning"
            lines.append(f"{'tokens' + of:<22}{_quantiles(counts)}{cut}")
    return lines


def _quantiles(counts: Sequence[int]) -> str:
    median, high = np.quantile(counts, [0.5, 0.99])
    return f"mean {np.mean(counts):.1f}, median {median:.0f}, 99 % up to {high:.0f}, longest {max(counts)}"


def _samples(examples: pa.Table, reader: Reader | None, names: Sequence[str], samples: int, width: int) -> list[str]:
    order = np.argsort(ranks(np.array([stable_hash(i) for i in examples["id"].to_pylist()], np.uint64), 0, "show"))
    labels = examples["label"].to_numpy()[order]
    lines: list[str] = []
    for label in np.unique(labels):
        for row in examples.take(order[labels == label][:samples]).to_pylist():
            head = "" if "target" in row else f"{_label(label, names)}  "
            lines += ["", f"{head}group {row['group']}  id {row['id']}"]
            for name in TEXTS:
                if name in row:
                    read = row[name] if reader is None or name == "target" else reader.as_read(row[name])
                    by = "" if reader is None or name == "target" else f" as {reader.name} reads it"
                    lines.append(f"{name}{by}: {_short(read, width)}")
    return lines


def _short(text: str, width: int) -> str:
    """The end of a text is shown too: it is what the last token reads."""
    if not width or len(text) <= width:
        return text
    half = max(1, width // 2)
    return f"{text[:half]} [...] {text[-half:]}"
