"""Results mirrored to a tracking service, behind a small interface with a null twin.

`AnyTracker` is the schema of the config group `tracker`. No tracker loads the package of its service before it is used.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import ValidationError

from w2s_sweep.config.choice import ByName
from w2s_sweep.config.plain import from_plain
from w2s_sweep.errors import ConfigError
from w2s_sweep.registry import import_modules
from w2s_sweep.tracking.base import TRACKERS, Outcome, Sent, Tracker, TrackerSettings, TrainedStage
from w2s_sweep.tracking.null import NoTracker, NullTracker

AnyTracker = Annotated[TrackerSettings, ByName(TRACKERS)]

import_modules(__name__, __path__)


def make_tracker(settings: Mapping[str, Any], sweep: str, folder: Path) -> Tracker:
    """The tracker of plain `tracker` settings; `folder` is the sweep's.

    ConfigError where none of this name is registered, as when a user's module is gone, or its settings are others now.
    """
    name = str(settings["name"])
    try:
        known = from_plain(TRACKERS[name], settings)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ConfigError([f"tracker {name}: these settings of the sweep are not its own any more: {wrong}"]) from error
    return known.open(sweep, folder)


__all__ = [
    "TRACKERS",
    "AnyTracker",
    "NoTracker",
    "NullTracker",
    "Outcome",
    "Sent",
    "Tracker",
    "TrackerSettings",
    "TrainedStage",
    "make_tracker",
]
