"""The one exception family of the project: an error names the field, what it got, what is allowed, and what to do."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class W2SError(Exception):
    """Base of every error this project raises on purpose; commands print its text without a traceback."""


class ConfigError(W2SError):
    """One or more wrong settings, found before any work starts."""

    def __init__(self, problems: Sequence[str]):
        self.problems = list(dict.fromkeys(problems))
        count = len(self.problems)
        head = "1 problem in the configuration:" if count == 1 else f"{count} problems in the configuration:"
        super().__init__("\n".join([head, *(f"  - {problem}" for problem in self.problems)]))


class CompositionError(W2SError):
    """Files or overrides that Hydra cannot compose into cells."""

    def __init__(self, said: str):
        super().__init__(f"configuration: {said}")


class RegistrationError(W2SError):
    """A class or an object that cannot be registered under its name: another one has it, or something is missing."""


class SourceError(W2SError):
    """A model or a dataset that cannot be found, fetched or read."""


class DataError(W2SError):
    """Rows that do not fit the task: a missing column, one class only, too few rows."""


class ModelError(W2SError):
    """A model that cannot be loaded or does not fit its tokenizer or fine-tuning kind."""


class OutOfMemory(W2SError):
    """One of several devices that compute a stage together has too little memory: with smaller passes it may do."""


class StoreError(W2SError):
    """A stage folder that is damaged, or a store that cannot be written."""


class StageFailed(W2SError):
    """A stage ended with an error; the text carries the last lines of its log."""


class CellsFailed(StageFailed):
    """Cells of a sweep failed; every other one has finished. `reason`: of the first."""

    def __init__(self, count: str, reason: str):
        self.count = count
        super().__init__(f"{count}. The first: {reason}")


class LaunchError(W2SError):
    """A cluster that refuses, or cannot be reached."""


class Interrupted(W2SError):
    """Somebody asked the command to stop, and it did: nothing is lost."""


class DeviceLost(Exception):
    """Not an error of a stage: the GPU context of this process can compute nothing any more, the process must end."""

    def __init__(self, failed: Sequence[str]):
        self.failed = tuple(failed)
        """Keys of the stages that have failed so far."""
        super().__init__("the GPU context of this process is broken; another process does what is left")


class Preempted(Exception):
    """Not an error: raised inside a stage that saved what it could on a request to stop."""


def nearest_first(name: str, allowed: Iterable[str]) -> list[str]:
    """The allowed names sorted, with those that resemble `name` moved to the front."""
    names = sorted(allowed)
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    return close + [other for other in names if other not in close]


def unknown(field: str, got: str, allowed: Iterable[str]) -> str:
    """The message for a name that is not among the allowed ones."""
    names = nearest_first(got, allowed)
    shown = ", ".join(names[:25]) + (f", ... ({len(names)} in all)" if len(names) > 25 else "")
    guess = f" Did you mean {names[0]!r}?" if names and get_close_matches(got, names[:1], cutoff=0.5) else ""
    return f"{field}: unknown name {got!r}.{guess} Allowed: {shown or 'none'}."


def too_long(longest: int, max_tokens: int, positions: int, model: str) -> str:
    """What is wrong where a model has no room for a text."""
    return (
        f"dataset.max_tokens: {max_tokens} lets a text of {longest} tokens through, more than the {positions} "
        f"positions of {model}. Set dataset.max_tokens={positions} or less, for all models of a comparison."
    )
