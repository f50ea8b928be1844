"""What a table of examples holds, as text for a terminal."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from w2s_sweep.data.hashing import ranks, stable_hash
from w2s_sweep.data.leaks import scan_leaks


class Tokenizer(Protocol):
    """What is used of a tokenizer of the transformers library."""

    def __call__(self, text: list[str], /) -> "dict[str, list[list[int]]]": ...


def describe(
    examples: pa.Table,
    parts: Sequence[str] | None = None,
    tokenizer: Tokenizer | None = None,
    max_tokens: int | None = None,
    samples: int = 3,
    width: int = 300,
) -> str:
    """Counts of labels and groups, lengths, a leak scan and a few rows of every class.

    `parts`: part of each row, from `assign`; without it rows are counted by origin. `tokenizer`: adds lengths in
    tokens, and the share of examples that `max_tokens` cuts. `width`: characters shown of a text.
    """
    rows = examples["origin"].to_pylist() if parts is None else list(parts)
    lines = [f"{examples.num_rows} examples in {len(set(examples['group'].to_pylist()))} groups", ""]
    lines += _counts(examples, rows)
    lines += ["", *_lengths(examples, tokenizer, max_tokens)]
    if "target" not in examples.column_names:
        leak = scan_leaks(examples)
        verdict = "LEAK: a text gives its label away" if leak.found else "no leak found"
        lines.append(
            f"counting words: AUC {leak.auc:.3f}; the most telling word {leak.token!r} is right in "
            f"{100 * leak.token_accuracy:.1f} %: {verdict}"
        )
    return "\n".join([*lines, *_samples(examples, samples, width)])


def _counts(examples: pa.Table, rows: Sequence[str]) -> list[str]:
    labels = examples["label"].to_numpy()
    groups = np.array(examples["group"].to_pylist())
    named = np.array(rows)
    lines = [f"{'part':<12}{'examples':>10}{'groups':>10}{'label 1':>10}"]
    for part in sorted(set(rows)):
        chosen = named == part
        share = f"{100 * labels[chosen].mean():.1f} %"
        lines.append(f"{part:<12}{chosen.sum():>10}{len(np.unique(groups[chosen])):>10}{share:>10}")
    return lines


def _lengths(examples: pa.Table, tokenizer: Tokenizer | None, max_tokens: int | None) -> list[str]:
    texts: list[str] = examples["text"].to_pylist()
    lines = [f"characters  {_quantiles([len(text) for text in texts])}; {sum(not text for text in texts)} empty"]
    if tokenizer is not None:
        counts = [len(ids) for ids in tokenizer(texts)["input_ids"]]
        cut = "" if max_tokens is None else f"; {100 * np.mean(np.array(counts) > max_tokens):.1f} % over {max_tokens}"
        lines.append(f"tokens      {_quantiles(counts)}{cut}")
    return lines


def _quantiles(counts: Sequence[int]) -> str:
    median, high = np.quantile(counts, [0.5, 0.99])
    return f"mean {np.mean(counts):.1f}, median {median:.0f}, 99 % up to {high:.0f}, longest {max(counts)}"


def _samples(examples: pa.Table, samples: int, width: int) -> list[str]:
    order = np.argsort(ranks(np.array([stable_hash(i) for i in examples["id"].to_pylist()], np.uint64), 0, "show"))
    labels = examples["label"].to_numpy()[order]
    lines: list[str] = []
    for label in np.unique(labels):
        for row in examples.take(order[labels == label][:samples]).to_pylist():
            shown = [f"{name}: {_short(row[name], width)}" for name in ("text", "text_other", "target") if name in row]
            lines += ["", f"label {label}  group {row['group']}  id {row['id']}", *shown]
    return lines


def _short(text: str, width: int) -> str:
    """The end of a text is shown too: it is what the last token reads."""
    if len(text) <= width:
        return text
    return f"{text[: width // 2]} [...] {text[-(width // 2) :]}"
