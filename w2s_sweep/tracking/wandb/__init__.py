"""Weights & Biases: one run per unique trained stage, one summary run per sweep."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from w2s_sweep.config.schema import schema
from w2s_sweep.tracking.base import TRACKERS, TrackerSettings

if TYPE_CHECKING:
    from w2s_sweep.tracking.wandb.push import WandbTracker


@schema
class Wandb(TrackerSettings):
    """Where W&B's runs go, and whether they go there at once."""

    name: Literal["wandb"] = "wandb"
    project: str = "w2s-sweep"
    entity: str | None = None
    """User or team; None is your default entity."""
    mode: Literal["auto", "online", "offline"] = "auto"
    """auto: online when logged in, offline otherwise."""

    def open(self, sweep: str, folder: Path) -> "WandbTracker":
        from w2s_sweep.tracking.wandb.push import WandbTracker

        return WandbTracker(self, sweep, folder)


TRACKERS.register("wandb", Wandb)
