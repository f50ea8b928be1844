"""Curves and results mirrored to a tracking service, behind a small interface with a null twin."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from w2s_sweep.tracking.base import NullRun, NullTracker, Run, Tracker


def make_tracker(settings: Mapping[str, Any], sweep: str, folder: Path) -> Tracker:
    """The tracker of plain `tracker` settings (`cells.cell.Tracker`); `folder` is the sweep's. Only rank 0 mirrors."""
    if settings["name"] == "none" or int(os.environ.get("RANK", "0")) != 0:
        return NullTracker()
    from w2s_sweep.tracking.mirror import WandbTracker

    return WandbTracker(settings, sweep, folder)


__all__ = ["NullRun", "NullTracker", "Run", "Tracker", "make_tracker"]
