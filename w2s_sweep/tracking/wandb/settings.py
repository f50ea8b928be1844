"""The settings of `tracker=wandb`."""

from typing import ClassVar, Literal

from w2s_sweep.config.schema import schema
from w2s_sweep.tracking.base import TRACKERS, TrackerSettings


@schema
class Wandb(TrackerSettings):
    """Where W&B's runs go, and whether they go there at once."""

    tracker: ClassVar[str] = "w2s_sweep.tracking.wandb.push:WandbTracker"

    name: Literal["wandb"] = "wandb"
    project: str | None = None
    """None is $WANDB_PROJECT, else w2s-sweep."""
    entity: str | None = None
    """User or team; None is $WANDB_ENTITY, else your default entity."""
    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    """auto: $WANDB_MODE, else online when logged in, offline otherwise. $WANDB_MODE=disabled disables every mode."""
    tags: tuple[str, ...] | None = None
    """Of every run, beside the sweep's and the dataset's; None is $WANDB_TAGS."""
    notes: str | None = None
    """Of the summary run; None is $WANDB_NOTES."""
    alert: bool = False
    """Whether W&B sends a message when the sweep has ended."""


TRACKERS.register("wandb", Wandb)
