"""Rows made up for tests of data, and the table of their examples."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.setups import data_settings
from w2s_sweep.config.dataset import Partition
from w2s_sweep.data.examples import build_examples

Rows = list[dict[str, Any]]


SPLIT = Partition(seed=0, validation=0.1, test=0.25)


def write(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def build(path: Path, task: str = "text_label", subset: str | None = None, **changed: Any) -> pa.Table:
    return build_examples(data_settings(task=task, source={"subset": subset}, **changed), path)


def labelled(zeros: int, ones: int, name: str = "t") -> Rows:
    return [{"text": f"{name} {n}", "label": int(n >= zeros)} for n in range(zeros + ones)]
