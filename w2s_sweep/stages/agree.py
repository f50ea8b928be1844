"""Agree stage: of the answers to a split only those that enough samples of their supervisor give, and another model's
samples most often give too; an answer that is dropped is absent. A wrong way seldom ends at the same answer twice."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2s_sweep.errors import DataError
from w2s_sweep.kinds.labels import Agree
from w2s_sweep.predictions import SAMPLES, TEXTS, TEXTS_SCHEMA
from w2s_sweep.runner.context import Context
from w2s_sweep.stages.sample import vote
from w2s_sweep.training.answers import Reading, read_written, reading_of
from w2s_sweep.training.labels import publish, read_labels


def votes_of(folder: Path, read: Reading) -> dict[str, tuple[str, float]]:
    """Example id -> the text that stands for its samples, and the share of them that give its answer."""
    table = pq.read_table(folder / SAMPLES, columns=["id", "text"])
    texts: dict[str, list[str]] = {}
    for name, text in zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True):
        texts.setdefault(name, []).append(text)
    return {name: vote(read, samples) for name, samples in texts.items()}


def run(context: Context[Agree]) -> None:
    settings = context.settings
    labels = read_labels(context, "labels")
    read = reading_of(context.stage.hints.dataset.task)
    votes = votes_of(context.input("labels"), read)
    own = context.optional("own")
    others = {} if own is None else read_written(own)

    def stands(name: str) -> bool:
        text, share = votes[name]
        return share >= settings.least and (own is None or (name in others and read(others[name]) == read(text)))

    names = labels.ids.astype(str)
    here = labels.splits == settings.on
    keep = ~here | np.array([stands(name) for name in names])
    left = labels.take(np.flatnonzero(keep))
    if not (keep & here).any():
        raise DataError(
            f"method.least: of no row of {settings.on} do {settings.least:g} of the samples give one answer"
            f"{'' if own is None else ', which the own ones give too'}. Lower it, or draw more samples."
        )
    rows = [{"id": name, "text": votes[name][0], "legal": None} for name in left.ids.astype(str)]
    pq.write_table(pa.Table.from_pylist(rows, schema=TEXTS_SCHEMA), context.out / TEXTS)
    publish(context, left, {"kept": int((keep & here).sum()), "of": int(here.sum())})
