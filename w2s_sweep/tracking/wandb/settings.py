"""The settings of `tracker=wandb`."""

from importlib import import_module
from pathlib import Path
from typing import Literal

from w2s_sweep.config.schema import schema
from w2s_sweep.tracking.base import TRACKERS, Tracker, TrackerSettings


@schema
class Wandb(TrackerSettings):
    """Where W&B's runs go, and whether they go there at once."""

    name: Literal["wandb"] = "wandb"
    project: str = "w2s-sweep"
    entity: str | None = None
    """User or team; None is your default entity."""
    mode: Literal["auto", "online", "offline"] = "auto"
    """auto: online when logged in, offline otherwise."""

    def open(self, sweep: str, folder: Path) -> Tracker:
        # by name: what mirrors reads these settings, and is wanted only where something is mirrored
        return import_module("w2s_sweep.tracking.wandb.push").WandbTracker(self, sweep, folder)


TRACKERS.register("wandb", Wandb)
