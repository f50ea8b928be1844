"""The first sign of life of a command that runs sweeps: loading Hydra and composing a grid take seconds."""

import sys
from collections.abc import Sequence

GRID = {"-m", "--multirun"}


def announce(words: Sequence[str]) -> None:
    """Say that it has begun, to people only: nothing where a pipe, or a shell that completes a word, reads along."""
    if sys.stderr.isatty() and not any(word.startswith("-") and word not in GRID for word in words):
        print("composing the sweep ...", file=sys.stderr, flush=True)
