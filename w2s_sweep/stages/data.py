"""Data stage: the rows of a source as the balanced examples of a task, in one Parquet file."""

import pyarrow.parquet as pq

from w2s_sweep.config.plain import from_plain
from w2s_sweep.config.source import Source
from w2s_sweep.data.examples import build_examples
from w2s_sweep.sources import fetch
from w2s_sweep.stages.context import Context


def run(context: Context) -> None:
    stage = context.stage
    source = from_plain(Source, stage.run["dataset"]["source"])
    examples = build_examples(stage.settings, fetch(source, stage.settings["source"], "dataset"))
    pq.write_table(examples, context.out / "examples.parquet", compression="zstd")
    labels = examples["label"].to_pylist()
    counts = {f"label {value}": labels.count(value) for value in sorted(set(labels))}
    context.finish({"examples": examples.num_rows} | counts)
