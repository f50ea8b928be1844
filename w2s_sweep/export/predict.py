"""`w2s predict`: what a trained stage says of new texts, as a file that `supervisor.labels` and `w2s score` read."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors import safe_open
from safetensors.numpy import load_file

from w2s_sweep.arrays import Array
from w2s_sweep.data.readers import Row, read_rows
from w2s_sweep.errors import DataError, nearest_first
from w2s_sweep.export.network import base_backbone, load_classifier
from w2s_sweep.export.trained import Trained, find_trained
from w2s_sweep.kinds.training import Finetune, Probe
from w2s_sweep.models.device import frozen_dtype, pick_device, token_budget
from w2s_sweep.models.features import feature_layer, frozen_features
from w2s_sweep.models.load import read_shape
from w2s_sweep.predictions import softmax
from w2s_sweep.results.tables.files import write_parquet
from w2s_sweep.stages.evaluate import reopen_probe
from w2s_sweep.stages.finetune import PairLearner, TextLearner
from w2s_sweep.stages.probe import one_thread
from w2s_sweep.store import Store
from w2s_sweep.store.files import write_text
from w2s_sweep.training.learners import TransformerLearner
from w2s_sweep.training.loop import predict

ENDINGS = (".jsonl", ".parquet", ".csv")
ID = "id"
"""Column of ids where none is named; a file may lack it."""
PART = 2048
"""Texts after which progress is told."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Asked:
    """The texts of a file."""

    ids: Sequence[str] | None
    texts: Sequence[str]
    others: Sequence[str] | None
    """Second texts, of pairs."""


def predict_file(
    store: Store,
    target: str,
    path: Path,
    out: Path,
    *,
    text: str = "text",
    other: str = "text_other",
    name: str | None = None,
    progress: Progress = lambda done, total: None,
) -> str:
    """Write what the trained stage `target` (see `find_trained`) says of the texts of `path` to `out`; returns what to
    tell. `text`, `other`, `name`: columns of the texts, second texts and ids; None is `id` where there is one. Raises
    W2SError."""
    if out.suffix.lower() not in ENDINGS:
        raise DataError(f"--out: {out} has no known ending. Allowed: {', '.join(ENDINGS)}.")
    trained = find_trained(store, target)
    asked = read_texts(path, text, other if _is_of_pairs(trained) else None, name)
    logits = logits_of(trained, asked, progress)
    _write(out, asked, softmax(logits), trained.data.labels)
    return f"{out}: {len(asked.texts):,} predictions by {trained.label}"


def _is_of_pairs(trained: Trained) -> bool:
    """Whether it has one output, the reward of a text."""
    with safe_open(trained.weights, framework="numpy") as file:
        return file.get_slice("weight" if isinstance(trained.settings, Probe) else "head.weight").get_shape()[0] == 1


def read_texts(path: Path, text: str, other: str | None, name: str | None = None) -> Asked:
    """The texts of a data file, and their ids: of column `name`, or of `id` where it has one. DataError naming row and
    column of what is no text, and columns that are not there."""
    if not path.exists():
        raise DataError(f"{path} does not exist. Give a data file with a column of texts.")
    rows = list(read_rows(path, "train"))
    if not rows:
        raise DataError(f"{path} has no rows.")
    texts = _texts(rows, text, "--text", path)
    return Asked(_ids(rows, name, path), texts, None if other is None else _texts(rows, other, "--text-other", path))


def _texts(rows: Sequence[Row], column: str, option: str, path: Path) -> list[str]:
    _require_column(rows[0], column, option, str(path))
    return [_text(row, column, number, path) for number, row in enumerate(rows)]


def _ids(rows: Sequence[Row], column: str | None, path: Path) -> list[str] | None:
    if column is None:
        return [str(row[ID]) for row in rows] if all(ID in row for row in rows) else None
    for number, row in enumerate(rows):
        _require_column(row, column, "--id", f"{path}, row {number}," if number else str(path))
    return [str(row[column]) for row in rows]


def _require_column(row: Row, column: str, option: str, where: str) -> None:
    if column not in row:
        found = ", ".join(nearest_first(column, row))
        raise DataError(f"{where} has no column {column!r}. Columns found: {found}. Name the right one: {option}.")


def _text(row: Row, column: str, number: int, path: Path) -> str:
    value = row.get(column)
    if not isinstance(value, str):
        raise DataError(f"{path}, row {number}, column {column!r} holds {type(value).__name__}, not text. Correct it.")
    return value


def logits_of(trained: Trained, asked: Asked, progress: Progress) -> Array:
    """float32 [rows, classes], in the order of the file; of pairs the rewards [of the second text, of the first]."""
    settings = trained.settings
    if isinstance(settings, Probe):
        return _of_probe(trained, asked, progress)
    learner = _learner(trained, settings, [*asked.texts, *(asked.others or [])], asked.others is not None)
    parts: list[Array] = []
    for start in range(0, len(asked.texts), PART):
        parts.append(predict(learner, range(start, min(start + PART, len(asked.texts)))))
        progress(start + len(parts[-1]), len(asked.texts))
    return np.concatenate(parts)


def _learner(trained: Trained, settings: Finetune, texts: list[str], pairs: bool) -> TransformerLearner[Any]:
    precision, device = settings.finetune.precision, pick_device()
    model = load_classifier(trained, settings, frozen_dtype(device, precision))
    tokens = model.backbone.tokens(texts, settings.max_tokens)
    made = (PairLearner if pairs else TextLearner)(model, tokens, precision, token_budget(device, None))
    made.mode(training=False)
    return made


def _of_probe(trained: Trained, asked: Asked, progress: Progress) -> Array:
    features = trained.features
    assert features is not None
    layer = feature_layer(read_shape(trained.model_folder, features.keep_layers), features.feature_layer)
    device = pick_device()
    keep = features.keep_layers if trained.adapted is not None else max(1, layer)
    backbone = base_backbone(trained, keep, frozen_dtype(device, features.precision)).to(device)
    texts, done = [*asked.texts, *(asked.others or [])], list[Array]()
    for start in range(0, len(texts), PART):
        tokens = backbone.tokens(texts[start : start + PART], features.max_tokens)
        done.append(
            frozen_features(
                backbone,
                tokens,
                layer=layer,
                pooling=features.pooling,
                precision=features.precision,
                token_budget=token_budget(device, None),
            )
        )
        progress(min(start + PART, len(texts)), len(texts))
    vectors, rows = np.concatenate(done), len(asked.texts)
    tables = {"features": vectors[:rows]} | ({} if asked.others is None else {"features_other": vectors[rows:]})
    with one_thread():
        return predict(reopen_probe(load_file(trained.weights), tables), range(rows))


def _write(out: Path, asked: Asked, probs: Array, names: Sequence[str] | None) -> None:
    """Columns: id where the file has one, the texts, `probability` of every class, `predicted` (name or number)."""
    best = probs.argmax(1)
    columns: dict[str, list[Any]] = {} if asked.ids is None else {"id": list(asked.ids)}
    columns |= {"text": list(asked.texts)} | ({} if asked.others is None else {"text_other": list(asked.others)})
    columns |= {"probability": [[round(float(p), 7) for p in row] for row in probs]}
    columns |= {"predicted": [names[i] if names else int(i) for i in best]}
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix.lower() == ".parquet":
        write_parquet(pa.table(columns), out)
        return
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    file = io.StringIO(newline="")
    if out.suffix.lower() == ".jsonl":
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(row | {"probability": json.dumps(row["probability"])} for row in rows)
    write_text(out, file.getvalue())  # whole or not at all
