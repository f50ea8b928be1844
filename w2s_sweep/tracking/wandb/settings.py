"""The settings of `tracker=wandb`."""

from typing import ClassVar, Literal

from w2s_sweep.config.schema import schema
from w2s_sweep.tracking.base import TRACKERS, TrackerSettings


@schema
class Wandb(TrackerSettings):
    """Where W&B's runs go, and whether they go there at once."""

    tracker: ClassVar[str] = "w2s_sweep.tracking.wandb.push:WandbTracker"

    name: Literal["wandb"] = "wandb"
    project: str = "w2s-sweep"
    entity: str | None = None
    """User or team; None is your default entity."""
    mode: Literal["auto", "online", "offline"] = "auto"
    """auto: online when logged in, offline otherwise."""


TRACKERS.register("wandb", Wandb)
