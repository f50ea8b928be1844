"""The rows a stage works on: examples, their split, the labels it trains on, and its predictions in the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.parquet as pq

from w2s_sweep.config.dataset import Partition, Split
from w2s_sweep.data.hashing import hashes_of, ranks
from w2s_sweep.data.sample import count_classes
from w2s_sweep.data.split import assign
from w2s_sweep.errors import DataError
from w2s_sweep.kinds.recipes import MixedRows
from w2s_sweep.kinds.training import Supervised, Trained
from w2s_sweep.metrics import accuracy, auroc
from w2s_sweep.predictions import Predictions, read_predictions, softmax

PREDICTED: tuple[Split, ...] = ("half_b", "validation", "test")
"""Splits on which every trained stage leaves predictions."""

EXAMPLES = "examples.parquet"
"""File of a stage that has the examples of a task."""

WEIGHTS = "weights.parquet"
"""File of a stage that weighs examples: their id, and a weight whose mean over them is 1."""


@dataclass(frozen=True)
class Rows:
    """All examples of a dataset, in the order of its file."""

    ids: np.ndarray
    texts: list[str]
    truth: np.ndarray
    """int8 [rows]; -1 where there is none. Generation: always 1, and class 1 is "the generated text is the target"."""
    splits: np.ndarray
    others: list[str] | None = None
    """Pairs: the second text of every row. Label 1 says that the first is preferred."""
    targets: list[str] | None = None
    """Generation: what to write after each text."""
    groups: np.ndarray | None = None
    """Name of the group of each row; None where every row is one."""

    @property
    def every_text(self) -> list[str]:
        """The texts, and after them the second texts of pairs; the order of `load_texts`."""
        return self.texts + (self.others or [])

    @property
    def asked(self) -> Sequence[str | tuple[str, str]]:
        """What the question in a prompt is about, row by row: a text, or both texts of a pair."""
        return self.texts if self.others is None else list(zip(self.texts, self.others, strict=True))

    @property
    def classes(self) -> int:
        return count_classes(self.truth)

    def has_truth(self, *names: str) -> bool:
        """Whether any row of the given splits has a truth."""
        return bool((self.truth[self.on(*names)] >= 0).any())

    def on(self, *names: str) -> list[int]:
        """Row numbers of the given splits."""
        return [int(i) for i in np.flatnonzero(np.isin(self.splits, names))]


def load_rows(data: Path, split: Partition) -> Rows:
    """The examples in a finished data stage, divided as `split` says. Raises DataError."""
    table = _table(data)
    truth = table["label"].to_numpy().astype(np.int8)
    generation = "target" in table.column_names
    return Rows(
        ids=np.array(table["id"].to_pylist(), dtype=object),
        texts=table["text"].to_pylist(),
        truth=np.ones_like(truth) if generation else truth,
        splits=assign(table, split),
        others=table["text_other"].to_pylist() if "text_other" in table.column_names else None,
        targets=table["target"].to_pylist() if generation else None,
        groups=np.array(table["group"].to_pylist(), dtype=object),
    )


MIXED = "mixed"
"""Split of the rows that came out of another dataset."""


def append_rows(rows: Rows, more: Rows) -> Rows:
    """All of `rows`, and after them those of `more`, whose split is `MIXED`: they are learnt from and never scored."""
    if (rows.others is None) != (more.others is None) or rows.targets or more.targets:
        raise DataError("method.mix: the examples of both data sets must be single texts, or pairs, with classes.")
    return Rows(
        ids=np.concatenate([rows.ids, more.ids]),
        texts=rows.texts + more.texts,
        truth=np.concatenate([rows.truth, more.truth]),
        splits=np.concatenate([rows.splits, np.full(len(more.ids), MIXED, dtype=rows.splits.dtype)]),
        others=None if rows.others is None or more.others is None else rows.others + more.others,
    )


def draw_mixed(rows: Rows, wanted: MixedRows, own: Rows, beside: int) -> list[int]:
    """Rows of another dataset that are learnt from with `beside` rows of `own`: by hash, from outside its validation
    and test, none with a text of `own`, whose truth would come in with it.

    Raises DataError where there are too few.
    """
    known, texts, count = {*own.every_text}, rows.every_text, round(wanted.rows * beside)
    there = [row for row in rows.on("half_a", "half_b") if not known.intersection(texts[row :: len(rows.ids)])]
    if count > len(there):
        raise DataError(
            f"method.mix: {count} of its rows are wanted, and it has {len(there)} that are no rows of dataset, nor of "
            "its own validation and test. Lower method.strength or dataset.n_train, or take a larger data set."
        )
    order = np.argsort(ranks(hashes_of(rows.ids[there]), wanted.split.seed, "mixed"), kind="stable")
    return sorted(there[place] for place in order[:count])


def load_corpus(data: Path, split: Partition | None) -> tuple[list[str], list[str]]:
    """The texts of a finished data stage without any label: those outside the test set, and those of the test set.

    `split` divides the test set from the rest; None where the source has one of its own. Both texts of a pair count.
    """
    table = _table(data)
    parts = np.array(table["origin"].to_pylist()) if split is None else assign(table, split)
    columns = [table[name].to_pylist() for name in ("text", "text_other") if name in table.column_names]
    named = [(text, part) for texts in columns for text, part in zip(texts, parts.tolist(), strict=True)]
    return [text for text, part in named if part != "test"], [text for text, part in named if part == "test"]


def load_texts(data: Path) -> list[str]:
    """The texts of a finished data stage, in the order of its file; after them the second texts where it has pairs."""
    table = _table(data)
    columns = [name for name in ("text", "text_other") if name in table.column_names]
    return [text for name in columns for text in table[name].to_pylist()]


def load_asked(data: Path) -> Sequence[str | tuple[str, str]]:
    """What the question in a prompt is about, in the order of the file: a text, or both texts of a pair."""
    texts, rows = load_texts(data), _table(data).num_rows
    return texts if len(texts) == rows else list(zip(texts[:rows], texts[rows:], strict=True))


def load_targets(data: Path) -> list[str]:
    """What is to be generated after each text of a finished data stage of a generation task."""
    return _table(data)["target"].to_pylist()


def load_ids(data: Path) -> list[str]:
    """The ids of a finished data stage, in the order of its file."""
    return _table(data)["id"].to_pylist()


@lru_cache(maxsize=4)
def _table(data: Path):
    return pq.read_table(data / EXAMPLES)


def soft_labels(rows: Rows, supervision: Path | None, reads: Literal["probs", "logits"] = "probs") -> np.ndarray:
    """float32 [rows, classes]: the truth one-hot, or what another stage predicted (NaN where it has no prediction).

    NaN too where there is no truth. `reads`: its probabilities, or for a loss that reads those its logits.
    """
    if supervision is None:
        truth = np.eye(rows.classes, dtype=np.float32)[rows.truth]
        truth[rows.truth < 0] = np.nan
        return truth
    said = read_predictions(supervision / "predictions.parquet")
    values = said.logits if reads == "logits" else said.probs
    index = {str(name): i for i, name in enumerate(said.ids)}
    labels = np.full((len(rows.ids), values.shape[1]), np.nan, dtype=np.float32)
    for row, name in enumerate(rows.ids):
        if (found := index.get(str(name))) is not None:
            labels[row] = values[found]
    return labels


def require_labels(labels: np.ndarray, rows: Sequence[int], what: str) -> None:
    """Every row that is trained on must have a label."""
    missing = int(np.isnan(labels[list(rows)]).any(1).sum())
    if missing:
        raise DataError(f"{what}: {missing} of {len(rows)} training rows have no label from the supervising stage.")


def weights_of(rows: Rows, folder: Path) -> np.ndarray:
    """float32 [rows]: the weight of each example by the finished stage in `folder`; NaN where it gave none."""
    table = pq.read_table(folder / WEIGHTS)
    index = dict(zip(table["id"].to_pylist(), table["weight"].to_pylist(), strict=True))
    return np.array([index.get(str(name), np.nan) for name in rows.ids], dtype=np.float32)


def rows_of_portion(rows: Rows, settings: Trained) -> list[int]:
    """Rows of the split `on` of a stage, or of the portion (i, n) of it that its settings name: whole groups, and as
    many in each portion."""
    chosen, portion = rows.on(settings.on), settings.portion
    if portion is None:
        return chosen
    number, portions = portion
    names, group = np.unique((rows.ids if rows.groups is None else rows.groups)[chosen], return_inverse=True)
    place = np.argsort(np.argsort(ranks(hashes_of(names), settings.split.seed, "portions"), kind="stable"))
    mine = [row for row, at in zip(chosen, place[group], strict=True) if at % portions == number]
    if not mine:
        raise DataError(
            f"method: {portions} portions of {settings.on} with {len(names)} groups of rows leave one without any. "
            "Use a shorter chain, method.rows=same, or more rows (dataset.n_train)."
        )
    return mine


def training_rows(rows: Rows, labels: np.ndarray, settings: Supervised, what: str) -> list[int]:
    """Rows that a stage trains on: those of its split `on`, or with `unlabelled: skip` those of them with a label."""
    chosen = rows_of_portion(rows, settings)
    if settings.unlabelled == "skip":
        chosen = [row for row in chosen if not np.isnan(labels[row]).any()]
        if not chosen:
            raise DataError(f"{what}: its supervision labels no row of {settings.on}, so there is nothing to learn.")
    require_labels(labels, chosen, what)
    return chosen


def predictions_of(
    rows: Rows, chosen: Sequence[int], logits: np.ndarray, seen: Mapping[int, np.ndarray]
) -> Predictions:
    """The record of a trained stage on `chosen` rows; `seen` are the labels it was trained on, by row."""
    nothing = np.full(logits.shape[1], np.nan, dtype=np.float32)
    index = list(chosen)
    return Predictions(
        ids=rows.ids[index],
        splits=rows.splits[index],
        truth=rows.truth[index],
        logits=logits.astype(np.float32),
        probs=softmax(logits),
        seen=np.stack([seen.get(row, nothing) for row in index]),
    )


def scores(predictions: Predictions) -> dict[str, float | None]:
    """Accuracy and AUROC on validation and test, for the summary of a stage."""
    out: dict[str, float | None] = {}
    for split in ("validation", "test"):
        part = predictions.on(split)
        out[f"accuracy/{split}"] = accuracy(part.probs, part.truth)
        out[f"auroc/{split}"] = auroc(part.probs, part.truth)
    return out
