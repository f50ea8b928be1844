"""predictions.parquet: what a trained stage predicts for each example. Every metric is a view of it, computed later."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from w2s_sweep.arrays import Array
from w2s_sweep.config.dataset import SPLITS
from w2s_sweep.errors import StoreError

FILE = "predictions.parquet"
TEXTS = "generated.parquet"
"""What a generation stage wrote after each text that it has predictions for."""
TEXTS_SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string()), ("legal", pa.bool_())])
"""legal: whether the text is a possible answer at all; null where the task cannot tell."""
WEIGHTS = "weights.safetensors"
"""What training changed of a model."""
HEAD = "head.safetensors"
"""The head of a model whose weights are not kept; of a probe all of it, and how its features are scaled."""
UNLABELLED = "half_b"
"""The split whose rows may have no truth."""
SAMPLES = "samples.parquet"
"""Every answer that was drawn, of stages that draw several to a text."""
SAMPLES_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("sample", pa.int32()),
        ("text", pa.string()),
        ("answer", pa.string()),
        ("ended", pa.bool_()),
    ]
)
"""answer: what the text answers in the spelling of equal answers; null where it answers nothing. ended: whether the
model ended it, and it was not cut."""
SMALLEST = 1e-7
"""Probability that stands for 0 where a logarithm is taken."""
CURVE = "curve.parquet"
"""What a trained stage predicted for test rows while it trained."""
equal: Any = pyarrow.compute.equal  # pyright: ignore[reportAttributeAccessIssue]
REMEDY = "Run `w2s verify` (it sets damaged stages aside), then the sweep again."


@dataclass(frozen=True)
class Predictions:
    """Rows are examples, in any order; k is the number of classes."""

    ids: Array
    """[n] text; unique."""
    splits: Array
    """[n] text, one of `SPLITS`."""
    truth: Array
    """[n] int8 in 0..k-1: the true class; in half B also -1, where there is none."""
    logits: Array
    """[n, k] float32, finite."""
    probs: Array
    """[n, k] float32, rows sum to 1."""
    seen: Array
    """[n, k] float32: the label the example was trained on, soft (or logits, if the loss reads those); NaN rows where
    it was not trained on."""

    def __len__(self) -> int:
        return len(self.ids)

    def on(self, split: str) -> "Predictions":
        """The rows of one split, in the same order."""
        if split not in SPLITS:
            raise ValueError(f"split: unknown name {split!r}. Allowed: {', '.join(SPLITS)}.")
        return self.take(np.flatnonzero(self.splits == split))

    def take(self, rows: Array) -> "Predictions":
        """The rows at the given positions, in the order of `rows`."""
        return Predictions(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def problems(self) -> list[str]:
        """What is wrong with these arrays; empty when they can be written."""
        return _shape_problems(self) or _value_problems(self)


def _shape_problems(p: Predictions) -> list[str]:
    n = len(p.ids)
    if p.logits.ndim != 2 or p.logits.shape[1] < 2:
        return [f"logits have shape {p.logits.shape}, not [examples, classes >= 2]"]
    expected = {"splits": (n,), "truth": (n,), "logits": (n, p.logits.shape[1])}
    expected |= {"probs": expected["logits"], "seen": expected["logits"]}
    found = {name: getattr(p, name).shape for name in expected}
    return [
        f"{name} have shape {found[name]}, not {expected[name]}" for name in expected if found[name] != expected[name]
    ]


def _value_problems(p: Predictions) -> list[str]:
    classes, found = p.logits.shape[1], []
    bad = sorted({str(s) for s in np.unique(p.splits)} - set(SPLITS))
    if bad:
        found.append(f"splits hold {bad}; allowed: {', '.join(SPLITS)}")
    if len(set(p.ids.tolist())) != len(p):
        found.append(f"{len(p) - len(set(p.ids.tolist()))} ids occur more than once")
    known = p.truth[~((p.splits == UNLABELLED) & (p.truth == -1))]
    if len(known) and not (known.min() >= 0 and known.max() < classes):
        found.append(f"truth holds {known.min()}..{known.max()}, not classes 0..{classes - 1}")
    broken = int((~np.isfinite(p.logits)).any(axis=1).sum())
    if broken:
        found.append(
            f"the logits of {broken} of {len(p)} examples are not finite: training diverged; lower the learning rate"
        )
    elif len(p) and not np.allclose(p.probs.sum(axis=1), 1, atol=1e-3):
        found.append("rows of probs do not sum to 1")
    return found


def softmax(logits: Array) -> Array:
    """float32 probabilities of logits [..., classes], computed in float64."""
    wide = logits.astype(np.float64)
    probs = np.exp(wide - wide.max(-1, keepdims=True))
    return (probs / probs.sum(-1, keepdims=True)).astype(np.float32)


def schema(classes: int) -> pa.Schema:
    """The columns of predictions of so many classes."""
    vector = pa.list_(pa.float32(), classes)
    columns = [("id", pa.string()), ("split", pa.string()), ("truth", pa.int8())]
    return pa.schema([*columns, ("logits", vector), ("probs", vector), ("seen", vector)])


def _vectors(values: Array, missing: Array | None = None) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1))
    mask = None if missing is None else pa.array(missing)
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1], mask=mask)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write `path`. Raises StoreError, and writes nothing, where the arrays do not fit together or are not finite."""
    problems = predictions.problems()
    if problems:
        raise StoreError(f"predictions for {path}: {'; '.join(problems)}.")
    p = predictions
    columns = [
        pa.array(p.ids.tolist(), pa.string()),
        pa.array(p.splits.tolist(), pa.string()),
        pa.array(p.truth.astype(np.int8)),
        _vectors(p.logits),
        _vectors(p.probs),
        # A label that is absent is null in the file: NaN would count as a value for whoever else reads it.
        _vectors(np.nan_to_num(p.seen, nan=0.0), np.asarray(np.isnan(p.seen).any(axis=1))),
    ]
    pq.write_table(pa.table(columns, schema=schema(p.logits.shape[1])), path)


@dataclass(frozen=True)
class Evaluated:
    """What a stage predicted for test rows after one of its steps."""

    step: int
    """Optimizer steps done."""
    steps: int
    """Of the whole training."""
    ids: Array
    """[n] text; unique."""
    probs: Array
    """[n, k] float32, rows sum to 1."""


def curve_schema(classes: int) -> pa.Schema:
    """The columns of a curve of so many classes."""
    vector = pa.list_(pa.float32(), classes)
    return pa.schema([("step", pa.int32()), ("steps", pa.int32()), ("id", pa.string()), ("probs", vector)])


def write_curve(path: Path, curve: Sequence[Evaluated]) -> None:
    """Write the evaluations of a stage, one after another."""
    sizes = [len(one.ids) for one in curve]
    columns = [
        pa.array(np.repeat([one.step for one in curve], sizes).astype(np.int32)),
        pa.array(np.repeat([one.steps for one in curve], sizes).astype(np.int32)),
        pa.array([str(name) for one in curve for name in one.ids], pa.string()),
        _vectors(np.concatenate([one.probs for one in curve])),
    ]
    pq.write_table(pa.table(columns, schema=curve_schema(curve[0].probs.shape[1])), path, compression="zstd")


@dataclass(frozen=True, eq=False)
class Span:
    """Where in a curve's file an evaluation stands."""

    step: int
    steps: int
    """Of the whole training."""
    ids: Array
    """[n] text; the same array for evaluations of the same rows."""
    rows: Any
    """[n] places in the file, or a slice of them."""


def spans(table: pa.Table) -> list[Span]:
    """The evaluations of a curve's table, whose ids are a dictionary, by rising step."""
    ids = column(table, "id")
    names, codes = ids.dictionary.to_numpy(zero_copy_only=False), ids.indices.to_numpy()
    at, of = (table[name].to_numpy() for name in ("step", "steps"))
    kept, found = np.empty(0, dtype=codes.dtype), list[Span]()
    for step in np.unique(at):
        rows = np.flatnonzero(at == step)
        same = bool(found) and np.array_equal(codes[rows], kept)
        kept = codes[rows]
        whole = slice(int(rows[0]), int(rows[-1]) + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows
        found.append(Span(int(step), int(of[rows[0]]), found[-1].ids if same else names[kept], whole))
    return found


def read_table(path: Path) -> pa.Table:
    """The file as it is, with the columns of `schema`. Raises StoreError naming the path where it is damaged."""
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"predictions {path} cannot be read: {error}. {REMEDY}") from error
    check_schema(path, table.schema)
    return table


def read_predictions(path: Path, split: str | None = None) -> Predictions:
    """The rows of `path`, or of one split of it. Raises StoreError naming the path where the file is damaged."""
    table = read_table(path)
    if split is not None:
        table = table.filter(equal(table["split"], split))
    predictions = _from_table(table.combine_chunks())
    problems = predictions.problems()
    if problems:
        raise StoreError(f"predictions {path} are damaged: {'; '.join(problems)}. {REMEDY}")
    return predictions


def check_schema(path: Path, found: pa.Schema, only: Sequence[str] | None = None) -> None:
    """Raises StoreError naming the path where a column of `schema`, or of `only` some, is not there as it should be."""
    kind: Any = found.field("logits").type if "logits" in found.names else None
    classes = kind.list_size if isinstance(kind, pa.FixedSizeListType) else 2
    expected = schema(classes)
    named = [f for f in expected if only is None or f.name in only]
    wrong = [f.name for f in named if f.name not in found.names or found.field(f.name).type != f.type]
    if wrong:
        raise StoreError(
            f"predictions {path}: columns {', '.join(wrong)} are missing or have another type. "
            f"Expected: {', '.join(f'{f.name} {f.type}' for f in expected)}. {REMEDY}"
        )


def _from_table(table: pa.Table) -> Predictions:
    seen = matrix(column(table, "seen")).copy()
    seen[column(table, "seen").is_null().to_numpy(zero_copy_only=False)] = np.nan
    texts = [column(table, name).to_numpy(zero_copy_only=False) for name in ("id", "split")]
    logits, probs = (matrix(column(table, name)) for name in ("logits", "probs"))
    return Predictions(texts[0], texts[1], column(table, "truth").to_numpy(), logits, probs, seen)


def column(table: pa.Table, name: str) -> pa.Array:
    """One column in one piece."""
    array = table[name].combine_chunks()
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array


def matrix(array: pa.Array) -> Array:
    """[rows, k] of an array of lists of k numbers."""
    size = array.type.list_size
    # `values` of a pyarrow list array knows nothing of the array's offset, and `flatten` leaves null rows out.
    values = array.values.to_numpy(zero_copy_only=False)[array.offset * size : (array.offset + len(array)) * size]
    return values.reshape(len(array), size)
