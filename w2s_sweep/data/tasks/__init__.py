"""The tasks by name. Every module of this folder is imported, so a new task is a file of its own or a row of one."""

from w2s_sweep.data.tasks.base import TASKS, Example, Row, Task, register
from w2s_sweep.errors import DataError, unknown
from w2s_sweep.registry import import_modules

__all__ = ["TASKS", "Example", "Row", "Task", "find", "register"]

import_modules(__name__, __path__)


def find(name: str) -> Task:
    """The task called `name`; DataError listing the tasks, the nearest first."""
    task = TASKS.get(name)
    if task is None:
        raise DataError(unknown("dataset.task", name, TASKS))
    return task
