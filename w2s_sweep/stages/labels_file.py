"""Labels-file stage: what a file says of half B, validation and test, as the predictions of a supervisor."""

from collections.abc import Mapping, Sequence

import numpy as np

from w2s_sweep.config.dataset import Split
from w2s_sweep.data.labels_file import Key, Said, read_said
from w2s_sweep.errors import DataError
from w2s_sweep.kinds.base import Json
from w2s_sweep.kinds.labels import LabelsFile
from w2s_sweep.predictions import Array, Predictions
from w2s_sweep.runner.context import Context
from w2s_sweep.sources import fetch
from w2s_sweep.training.examples import PREDICTED, Rows, load_rows
from w2s_sweep.training.labels import publish

TAUGHT: Split = "half_b"
"""The split that a supervisor labels."""


def keys_of(rows: Rows, by: str) -> Sequence[Key]:
    """What each example is found by."""
    if by == "id":
        return [(str(name),) for name in rows.ids]
    if rows.others is None:
        return [(text,) for text in rows.texts]
    return list(zip(rows.texts, rows.others, strict=True))


def match(rows: Rows, said: Said) -> Array:
    """int [examples]: the place in `said` of each example; -1 where the file says nothing of it.

    Raises DataError where not one row of the file belongs to an example.
    """
    place = {key: number for number, key in enumerate(said.keys)}
    found = np.array([place.get(key, -1) for key in keys_of(rows, said.by)], dtype=np.int64)
    if (found < 0).all():
        example = keys_of(rows, said.by)[0][0][:60]
        raise DataError(
            f"supervisor.labels: no row of the file has the {said.by} of an example. In the file it is such as "
            f"{said.keys[0][0][:60] if said.keys else ''!r}, in the examples {example!r}. Name the right column with "
            "supervisor.columns.id or supervisor.columns.text; `w2s data TASK --out FILE` writes ids and texts."
        )
    return found


def to_predictions(rows: Rows, said: Said, found: Array, *, some: bool = False) -> tuple[Predictions, dict[str, Json]]:
    """The labels of half B and validation, those of test where all of it has one, or `some` is enough, and counts."""
    labelled = {split: [row for row in rows.on(split) if found[row] >= 0] for split in PREDICTED}
    counts: dict[str, Json] = {}
    for split, there in labelled.items():
        counts |= {f"labelled/{split}": len(there), f"of/{split}": len(rows.on(split))}
    there, of = len(labelled["test"]), len(rows.on("test"))
    if there < of and there and some:
        counts["note"] = f"All roles are scored on the {there:,} of {of:,} test rows that have a label in the file."
    elif there < of:
        why = "not all test rows have a label in the file; supervisor.test=labelled scores all roles on those that have"
        none = "no test rows have a label in the file"
        counts["note"] = f"The supervisor and PGR get no value: {why if there else none}."
        labelled["test"] = []
    chosen = [row for there in labelled.values() for row in there]
    probs, logits = said.probs[found[chosen]], said.logits[found[chosen]]
    return Predictions(
        ids=rows.ids[chosen],
        splits=rows.splits[chosen],
        truth=rows.truth[chosen],
        logits=logits.astype(np.float32),
        probs=probs.astype(np.float32),
        seen=np.full(probs.shape, np.nan, dtype=np.float32),
    ), counts


def require_taught(counts: Mapping[str, Json], missing: str) -> None:
    """DataError where rows of half B have no label and may not be left out, or where none has."""
    there, of = counts[f"labelled/{TAUGHT}"], counts[f"of/{TAUGHT}"]
    if there == of or (missing == "skip" and there):
        return
    raise DataError(
        f"supervisor.labels: {of - there:,} of {of:,} rows of half B have no label in the file. "
        + ("Label " if missing == "skip" else "Set supervisor.missing=skip to leave them out, or label ")
        + "what `w2s data TASK --out FILE` lists as half_b (with dataset.split_seed=0 it is the same for every seed)."
    )


def run(context: Context[LabelsFile]) -> None:
    settings, source = context.settings, context.stage.hints.labels
    if source is None:
        raise DataError(f"{context.stage.label}: it was planned without a file or a split. Submit the sweep again.")
    rows = load_rows(context.input("data"), settings.split)
    path = fetch(source, settings.file, "dataset")
    said = read_said(path, settings.columns, classes=settings.classes, repeated=settings.repeated, least=rows.classes)
    if said.classes > rows.classes:
        raise DataError(
            f"supervisor.labels: the file has labels of {said.classes} classes, the task has {rows.classes}."
        )
    found = match(rows, said)
    labels, counts = to_predictions(rows, said, found, some=settings.test == "labelled")
    unmatched = len(said.keys) - len(set(found[found >= 0].tolist()))
    left_out = dict(said.left_out) | ({"rows that match no example": unmatched} if unmatched else {})
    require_taught(counts, settings.missing)
    publish(
        context,
        labels,
        {"rows": said.rows} | counts | {f"left out/{reason}": count for reason, count in left_out.items()},
    )
