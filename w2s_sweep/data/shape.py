"""What the examples of a dataset are: single texts with a class, pairs of texts, or texts to be continued."""

from w2s_sweep.config.dataset import Dataset
from w2s_sweep.data.tasks import TASKS


def has_pairs(dataset: Dataset) -> bool:
    """Whether an example is two texts, one of which is preferred."""
    return dataset.task in TASKS and TASKS[dataset.task].kind == "pair"


def has_targets(dataset: Dataset) -> bool:
    """Whether a label is a text to be written, not a class."""
    return dataset.task in TASKS and TASKS[dataset.task].kind == "generate"
