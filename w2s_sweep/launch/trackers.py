"""The tracker that overrides name, for commands beside a run: `w2s push SWEEP tracker=wandb tracker.project=mine`."""

from collections.abc import Sequence
from typing import Any

from w2s_sweep.cells.parse import parse
from w2s_sweep.config.plain import plain
from w2s_sweep.errors import ConfigError
from w2s_sweep.launch.compose import plain_cell
from w2s_sweep.launch.one import compose_one
from w2s_sweep.launch.site import CONF
from w2s_sweep.tracking import TRACKERS


def tracker_settings(overrides: Sequence[str]) -> dict[str, Any]:
    """Plain settings of the tracker that `launch.py OVERRIDES` would mirror to. ConfigError with all that is wrong."""
    foreign = [word for word in overrides if not word.startswith(("tracker=", "tracker."))]
    if foreign:
        raise ConfigError([f"push: got {word!r}, takes tracker=NAME and tracker.FIELD=VALUE." for word in foreign])
    with compose_one([word for override in overrides for word in _without_file(override)]) as config:
        _, sweep = parse([plain_cell(config)])
    return plain(sweep.tracker)


def _without_file(override: str) -> Sequence[str]:
    """The choice of a tracker that a user's module registers: a command that is told of no folder has no file of it,
    and takes its fields as its class has them."""
    name = override.removeprefix("tracker=")
    if name == override or name not in TRACKERS or not TRACKERS.place(name).outside:
        return [override]
    return [override] if (CONF / "tracker" / f"{name}.yaml").exists() else ["tracker=none", f"tracker.name={name}"]
