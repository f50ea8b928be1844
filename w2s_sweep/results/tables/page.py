"""The page docs/COLUMNS.md: every column of every table, its type and its meaning. A pure function of the code."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow  # pyright: ignore[reportMissingTypeStubs]

from w2s_sweep.config.dataset import SPLITS
from w2s_sweep.predictions import TEXTS_SCHEMA, curve_schema, schema  # pyright: ignore[reportUnknownVariableType]
from w2s_sweep.results.tables.columns import (
    Column,
    cell_columns,
    comparison_columns,
    curve_columns,
    group_columns,
    known_details,
    usage_columns,
)

pa: Any = pyarrow  # has no type stubs
COMMAND = "python -m w2s_sweep.cli columns > docs/COLUMNS.md"
PREDICTIONS_ABOUT = {
    "id": "Name of the example; unique.",
    "split": f"One of {', '.join(SPLITS)}.",
    "truth": "True class, 0 to k-1; -1 in half B where there is none.",
    "logits": "Logits of the classes.",
    "probs": "Probabilities of the classes; they sum to 1.",
    "seen": "The label it was trained on, soft (or logits, if the loss reads those); null where it was not trained on.",
}
TEXTS_ABOUT = {
    "id": "Name of the example, as in predictions.parquet.",
    "text": "What the model wrote after the example's text.",
    "legal": "Whether that is a possible answer at all; null where the task cannot tell.",
}

CURVE_ABOUT = {
    "step": "Optimizer steps done.",
    "steps": "Optimizer steps of the whole training.",
    "id": "Name of the test example, as in predictions.parquet.",
    "probs": "Probabilities of the classes after that step; they sum to 1.",
}

HEAD = f"""# Columns

Written by `{COMMAND}`; a test holds that it is up to date. `w2s report SWEEP` writes the
tables into the sweep's folder; `w2s_sweep.load("SWEEP")` has them as Arrow tables. Types are Arrow's. A number "with
interval" has three columns: `pgr`, and `pgr_low` and `pgr_high`, the ends of its 95 % interval. What is not known is
null. How intervals and tests are made, and what they hold: [STATISTICS.md](STATISTICS.md).
"""


def page() -> str:
    """The text of the page."""
    further = sorted(known_details())
    blocks = [
        ("Cells", "table.parquet, table.csv; `Sweep.cells`. A row per cell; further metrics follow.",
         cell_columns([])),
        ("Groups", "groups.parquet, groups.csv; `Sweep.groups`. A row per group of cells that differ in the seed "
         "only, and after these columns the further metrics.", group_columns([])),
        ("Further metrics", "In the tables of cells and of groups, where a cell has them; null in the rows of others. "
         "In table.json a cell has the keys of its own alone.",
         cell_columns(further)[len(cell_columns([])) :]),
        ("Comparisons", "comparisons.parquet, comparisons.csv; `Sweep.comparisons`. A row per setting that is compared "
         "with a baseline: over all tasks, and on each.", comparison_columns()),
        ("Curves", "curves.parquet, curves.csv; `Sweep.curves`. A row per group, role and evaluation on the way "
         "through training; none for stages that were not evaluated (`test_evaluations=0`, generated texts).",
         curve_columns()),
        ("Time and memory", "usage.parquet, usage.csv; `Sweep.usage`. A row per kind of work: what its finished stages "
         "used, and what their SLURM tasks had asked for.", usage_columns()),
        ("Predictions", "predictions.parquet of a trained stage; `Sweep.predictions(cell, role)`. A row per example; "
         "k is the number of classes.", _of_schema(schema(2), PREDICTIONS_ABOUT)),
        ("Predictions on the way", "curve.parquet of a probe or a fine-tuning, in `Sweep.stage(cell, role)`. A row per "
         "evaluation and test example that it predicts.", _of_schema(curve_schema(2), CURVE_ABOUT)),
        ("Generated texts", "generated.parquet of a generation stage, in `Sweep.stage(cell, role)`. A row per example.",
         _of_schema(TEXTS_SCHEMA, TEXTS_ABOUT)),
    ]  # fmt: skip
    return "\n".join([HEAD, *(_block(*block) for block in blocks)])


def _of_schema(found: Any, about: Mapping[str, str]) -> list[Column]:
    return [Column(name, found.field(name).type, about[name]) for name in found.names]


def _block(title: str, about: str, columns: Iterable[Column]) -> str:
    lines = [f"| `{c.name}` | {_type(c)} | {_cell(c.about)} |" for c in columns]
    return "\n".join([f"## {title}", "", about, "", "| column | type | meaning |", "| --- | --- | --- |", *lines, ""])


def _type(column: Column) -> str:
    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        return f"list of k {kind.value_type}"
    said = f"list of {kind.value_type}" if pa.types.is_list(kind) else str(kind)
    return f"{said}, with interval" if column.interval else said


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
