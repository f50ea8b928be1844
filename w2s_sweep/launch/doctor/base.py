"""What `w2s doctor` says of one thing: how it is, and what to do where that is not well."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "bad"]
"""warn: works, but not as well or not for everything; bad: sweeps fail or are wrong until it is mended."""


@dataclass(frozen=True)
class Finding:
    """One line."""

    level: Level
    about: str
    """What was looked at: python, torch, store and the like."""
    said: str
    """How it is."""
    todo: str = ""
    """What to do; empty where nothing is."""
