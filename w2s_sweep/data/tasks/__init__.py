"""The tasks by name. A new one is a `Task` in the file of its family, or in a file of its own added here."""

from w2s_sweep.data.tasks import chess, choice, ethics, language, plain, preference, sentiment
from w2s_sweep.data.tasks.base import Example, Row, Task
from w2s_sweep.errors import DataError, unknown

__all__ = ["TASKS", "Example", "Row", "Task", "find"]

FAMILIES = (sentiment, language, choice, ethics, preference, chess, plain)

TASKS: dict[str, Task] = {task.name: task for family in FAMILIES for task in family.TASKS}


def find(name: str) -> Task:
    """The task called `name`; DataError listing the tasks, the nearest first."""
    if name not in TASKS:
        raise DataError(unknown("dataset.task", name, TASKS))
    return TASKS[name]
