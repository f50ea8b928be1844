"""What the examples of a dataset are: single texts with a class, pairs of texts, or texts to be continued."""

from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.model import Model
from w2s_sweep.data.tasks import TASKS
from w2s_sweep.data.tasks.base import TWO


def class_names(dataset: Dataset) -> tuple[str, ...]:
    """What classes 0, 1, ... of a dataset are called; two for a task that is not here."""
    return TASKS[dataset.task].named_classes(dataset.labels) if dataset.task in TASKS else TWO


def head_words(dataset: Dataset, model: Model) -> tuple[str, ...] | None:
    """A word for each class, whose unembedding rows can initialise a head; None where none are named.

    Those of a model are of two classes; more have the words of the dataset's prompt.
    """
    words = model.label_words if len(class_names(dataset)) == 2 else dataset.prompt.words
    return words if words is not None and len(words) == len(class_names(dataset)) else None


def prompt_words(dataset: Dataset, model: Model) -> tuple[str, ...] | None:
    """The answer of each class where a model is prompted; None where none are named."""
    return dataset.prompt.words or (model.label_words if len(class_names(dataset)) == 2 else None)


def has_pairs(dataset: Dataset) -> bool:
    """Whether an example is two texts, one of which is preferred."""
    return dataset.task in TASKS and TASKS[dataset.task].kind == "pair"


def has_targets(dataset: Dataset) -> bool:
    """Whether a label is a text to be written, not a class."""
    return dataset.task in TASKS and TASKS[dataset.task].kind == "generate"
