"""What a tracker is, and the one that does nothing. metrics.jsonl in a stage's folder is the source of every curve."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from w2s_sweep.kinds import Kind
from w2s_sweep.plan.stage import Stage


class Run(Protocol):
    """The mirror of one stage while it runs."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Called for every row of metrics.jsonl; `step` counts finished optimiser steps."""
        ...

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Called once with what summary.json holds."""
        ...


class Tracker(Protocol):
    """Starts one run per trained stage. Neither it nor its runs ever raise because of the service they talk to."""

    def start(self, stage: Stage[Kind], folder: Path) -> Run:
        """`folder` is where the stage writes its files."""
        ...


class NullRun:
    """Mirrors nothing."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        return

    def finish(self, summary: Mapping[str, Any]) -> None:
        return


class NullTracker:
    """Starts runs that mirror nothing."""

    def start(self, stage: Stage[Kind], folder: Path) -> Run:
        return NullRun()
