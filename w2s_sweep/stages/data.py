"""Data stage: the rows of a source as the balanced examples of a task, in one Parquet file."""

from collections.abc import Mapping

import pyarrow.parquet as pq

from w2s_sweep.config.plain import from_plain
from w2s_sweep.config.source import Source
from w2s_sweep.data.examples import build_examples
from w2s_sweep.data.tasks import find
from w2s_sweep.errors import DataError
from w2s_sweep.plan.stage import Json
from w2s_sweep.sources import fetch
from w2s_sweep.stages.context import Context


def run(context: Context) -> None:
    stage = context.stage
    _check_version(stage.settings)
    source = from_plain(Source, stage.run["dataset"]["source"])
    examples = build_examples(stage.settings, fetch(source, stage.settings["source"], "dataset"))
    pq.write_table(examples, context.out / "examples.parquet", compression="zstd")
    labels = examples["label"].to_pylist()
    counts = {f"label {value}": labels.count(value) for value in sorted(set(labels))}
    context.finish({"examples": examples.num_rows} | counts)


def _check_version(settings: Mapping[str, Json]) -> None:
    """A stage planned with another conversion must not hold this one's examples under that one's key."""
    task, planned = find(settings["task"]), settings.get("task_version")
    if task.version != planned:
        raise DataError(
            f"task {task.name!r}: this stage was planned with version {planned or 1} of its conversion, here it has "
            f"version {task.version or 1}. Submit the sweep again."
        )
