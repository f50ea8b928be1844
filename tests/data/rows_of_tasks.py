"""A row of every task that has one, and its conversion."""

from collections.abc import Mapping
from typing import Any

from w2s_sweep.data.tasks import TASKS, Example, find

SAMPLES = {name: task.sample for name, task in TASKS.items() if task.sample is not None}


def convert(task: str, row: Mapping[str, Any]) -> list[Example]:
    return list(find(task).examples(row, 0))
