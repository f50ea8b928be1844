"""Agree stage: of the answers to a split only those that enough samples of their supervisor give, and another model's
samples most often give too; an answer that is dropped is absent. A wrong way seldom ends at the same answer twice."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2s_sweep.errors import DataError
from w2s_sweep.kinds.labels import Agree
from w2s_sweep.predictions import TEXTS, TEXTS_SCHEMA
from w2s_sweep.runner.context import Context
from w2s_sweep.training.answers import Drawn, read_samples, read_written, reading_of
from w2s_sweep.training.labels import publish, read_labels

Samples = Mapping[str, Sequence[Drawn]]
"""Example id -> its samples, in the order in which they were drawn."""


def find_agreeing(samples: Samples, answers: Mapping[str, str | None]) -> dict[str, list[Drawn]]:
    """Example id -> its samples that give its answer."""
    return {
        name: [one for one in drawn if one.answer is not None and one.answer == answers[name]]
        for name, drawn in samples.items()
    }


def shares_of(samples: Samples, answers: Mapping[str, str | None]) -> dict[str, float]:
    """Example id -> the share of its samples that give its answer."""
    return {name: len(same) / len(samples[name]) for name, same in find_agreeing(samples, answers).items()}


def ended_texts(samples: Samples, answers: Mapping[str, str | None]) -> dict[str, str]:
    """Example id -> the first of its samples that gives its answer and was not cut; absent where none is."""
    ended = ((name, [one.text for one in same if one.ended]) for name, same in find_agreeing(samples, answers).items())
    return {name: texts[0] for name, texts in ended if texts}


def run(context: Context[Agree]) -> None:
    settings = context.settings
    labels, folder = read_labels(context, "labels"), context.input("labels")
    read = reading_of(context.stage.hints.dataset.task)
    texts = read_written(folder)
    answers = {name: read(text) for name, text in texts.items()}
    samples = read_samples(folder)
    shares = shares_of(samples, answers)
    own = context.optional("own")
    others = {} if own is None else read_written(own)
    wanted = ended_texts(samples, answers) if settings.ended else texts

    def stands(name: str) -> bool:
        agreed = shares[name] >= settings.least and (own is None or read(others[name]) == answers[name])
        return agreed and name in wanted

    here = labels.splits == settings.on
    stay = np.array([not there or stands(str(name)) for name, there in zip(labels.ids, here, strict=True)])
    left = labels.take(np.flatnonzero(stay))
    kept = len(left.on(settings.on))
    if not kept:
        too = "" if own is None else ", which the own ones give too"
        whole = ", in a text that ended (dataset.max_new_tokens)" if settings.ended else ""
        raise DataError(
            f"method.least: of no row of {settings.on} do {settings.least:g} of the samples give one answer{too}"
            f"{whole}. Lower it, or draw more samples."
        )
    rows = [{"id": name, "text": wanted.get(name, texts[name]), "legal": None} for name in left.ids.astype(str)]
    pq.write_table(pa.Table.from_pylist(rows, schema=TEXTS_SCHEMA), context.out / TEXTS)
    publish(context, left, {"kept": kept, "of": int(here.sum())})
