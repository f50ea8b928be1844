"""The tracker that does nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from w2s_sweep.config.schema import schema
from w2s_sweep.kinds import Kind
from w2s_sweep.plan.stage import Stage
from w2s_sweep.tracking.base import TRACKERS, Outcome, Run, TrackerSettings


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

    def send(self, outcome: Outcome) -> Sequence[str]:
        return ()


@schema
class NoTracker(TrackerSettings):
    """Curves stay in metrics.jsonl of every stage folder."""

    name: Literal["none"] = "none"

    def open(self, sweep: str, folder: Path) -> NullTracker:
        return NullTracker()


TRACKERS.register("none", NoTracker)
