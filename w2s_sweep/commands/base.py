"""What a sub-command of `w2s` is: a name, a sentence for `--help`, its arguments, and the function that runs it."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console

from w2s_sweep.store import Store


def _none(parser: argparse.ArgumentParser) -> None:
    """A command without arguments."""


@dataclass(frozen=True)
class Command:
    """One sub-command; `cli.py` makes its parser and calls it."""

    name: str
    about: str
    """One sentence: the line in `w2s --help` and the first of `w2s NAME --help`."""
    run: Callable[[Console, Store, argparse.Namespace], int]
    """Does it and returns the exit status; raises W2SError for what a user can mend."""
    arguments: Callable[[argparse.ArgumentParser], None] = _none
    """Adds its arguments to the command's parser."""
    needs_store: bool = True
    """Whether the store must exist; other commands get the path where one would be."""
    more: str = ""
    """What `w2s NAME --help` shows below the arguments: examples, what is touched."""
