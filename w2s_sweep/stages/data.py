"""Data stage: the rows of a source as the balanced examples of a task, in one Parquet file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pyarrow.parquet as pq

from w2s_sweep.data.examples import build_examples, easy_up_to
from w2s_sweep.data.tasks import find
from w2s_sweep.errors import DataError
from w2s_sweep.kinds.data import Data
from w2s_sweep.runner.context import Context
from w2s_sweep.sources import fetch
from w2s_sweep.training.examples import EXAMPLES


def run(context: Context[Data]) -> None:
    settings = context.settings
    _check_version(settings)
    path = fetch(context.stage.hints.dataset.source, settings.source, "dataset")
    left_out = Counter[str]()
    settings = replace(settings, difficulty_threshold=easy_up_to(settings, path))
    examples = build_examples(settings, path, left_out)
    pq.write_table(examples, context.out / EXAMPLES, compression="zstd")
    labels = examples["label"].to_pylist()
    names = find(settings.task).named_classes(settings.labels)
    counts = {_count_in_words(value, names): labels.count(value) for value in sorted(set(labels)) if value >= 0}
    counts |= {"unlabelled": unlabelled} if (unlabelled := labels.count(-1)) else {}
    odd = {f"left out/{reason}": count for reason, count in left_out.items() if count}
    easy = {} if settings.difficulty is None else {"easy up to": settings.difficulty_threshold}
    context.finish({"examples": examples.num_rows} | counts | odd | easy)


def _count_in_words(value: int, names: Sequence[str]) -> str:
    """What the rows of a class are counted by; of two classes, whose names need not be told apart, the number."""
    return f"label {value}" if len(names) == 2 else f"label {value} ({names[value]})"


def _check_version(settings: Data) -> None:
    """A stage planned with another conversion must not hold this one's examples under that one's key."""
    task, planned = find(settings.task), settings.task_version
    if task.version != planned:
        raise DataError(
            f"task {task.name!r}: this stage was planned with version {planned or 1} of its conversion, here it has "
            f"version {task.version or 1}. Submit the sweep again."
        )
