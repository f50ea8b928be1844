"""The tracker that overrides name, for commands beside a run: `w2s push SWEEP tracker=wandb tracker.project=mine`."""

from collections.abc import Sequence
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException

from w2s_sweep.cells.parse import parse
from w2s_sweep.config.plain import plain
from w2s_sweep.errors import ConfigError
from w2s_sweep.launch.compose import plain_cell
from w2s_sweep.launch.plugin import register
from w2s_sweep.launch.preflight import checked
from w2s_sweep.launch.site import CONF


def tracker_settings(overrides: Sequence[str]) -> dict[str, Any]:
    """Plain settings of the tracker that `launch.py OVERRIDES` would mirror to. ConfigError with all that is wrong."""
    foreign = [word for word in overrides if not word.startswith(("tracker=", "tracker."))]
    if foreign:
        raise ConfigError([f"push: got {word!r}, takes tracker=NAME and tracker.FIELD=VALUE." for word in foreign])
    register()
    GlobalHydra.instance().clear()
    words = checked(list(overrides), CONF)
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            _, sweep = parse([plain_cell(hydra.compose("config", overrides=words))])
    except HydraException as error:
        raise ConfigError([" ".join(str(error).split())]) from error
    return plain(sweep.tracker)
