"""The tracker that does nothing."""

from pathlib import Path
from typing import Literal

from w2s_sweep.config.schema import schema
from w2s_sweep.tracking.base import TRACKERS, Outcome, Sent, TrackerSettings


class NullTracker:
    """Mirrors nothing."""

    def send(self, outcome: Outcome, force: bool = False) -> Sent:
        return Sent()


@schema
class NoTracker(TrackerSettings):
    """Curves stay in metrics.jsonl of every stage folder."""

    name: Literal["none"] = "none"

    def open(self, sweep: str, folder: Path) -> NullTracker:
        return NullTracker()


TRACKERS.register("none", NoTracker)
