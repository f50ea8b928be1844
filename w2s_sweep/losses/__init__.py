"""The losses of weak-to-strong training; `AnyLoss` is the schema of the config group `loss`.

Every module of this folder is imported, so a new loss is a file of its own. `shapes` loads torch and holds no loss.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from w2s_sweep.config.choice import ByName
from w2s_sweep.config.plain import plain
from w2s_sweep.config.schema import schema
from w2s_sweep.errors import ConfigError
from w2s_sweep.losses.base import LOSSES, Loss
from w2s_sweep.registry import import_modules

__all__ = ["LOSSES", "AbsentLoss", "AnyLoss", "Loss", "loss_from_plain", "loss_settings"]

AnyLoss = Annotated[Loss, ByName(LOSSES)]

import_modules(__name__, __path__, but=("shapes",))


@schema
class AbsentLoss(Loss, choice=False):
    """Stands for a loss that a stage was planned with and that is not here now, so that this stage alone fails."""

    planned: dict[str, Any]
    """What `loss_settings` said of it."""
    reason: str
    """Why it is not here."""

    def __call__(self, logits: Any, labels: Any, progress: float) -> Any:
        raise ConfigError([self.reason])


def loss_settings(loss: Loss) -> dict[str, Any]:
    """What of a loss determines the result of training with it: its settings, and its version where it has one."""
    if isinstance(loss, AbsentLoss):
        return loss.planned
    return plain(loss) | ({} if loss.version is None else {"version": loss.version})


def loss_from_plain(settings: Mapping[str, Any]) -> Loss:
    """The loss that `loss_settings` was called with.

    ConfigError where it is not registered, or has another version now: the stage must not hold what that one computes.
    """
    planned, name = settings.get("version"), str(settings["name"])
    if (found := LOSSES[name].version) != planned:
        text = f"loss {name}: planned with version {planned}, but here it has version {found}. Submit the sweep again."
        raise ConfigError([text])
    return ByName(LOSSES).parse({key: value for key, value in settings.items() if key != "version"})
