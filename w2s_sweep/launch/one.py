"""One composed configuration, for commands that run nothing: as `launch.py` would have it from the same words."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig

from w2s_sweep.errors import ConfigError
from w2s_sweep.launch.compose import CachingConfigLoader
from w2s_sweep.launch.plugin import register
from w2s_sweep.launch.preflight import check_words
from w2s_sweep.launch.site import CONF


@contextmanager
def compose_one(overrides: Sequence[str], *, with_hydra: bool = False) -> Generator[DictConfig]:
    """What `launch.py OVERRIDES` composes, and with `with_hydra` Hydra's own settings too.

    Within, Hydra is there: what the cell names, such as the files of a method's models, is read through it. Raises
    ConfigError with all that is wrong.
    """
    register()
    GlobalHydra.instance().clear()
    words = check_words(list(overrides), CONF)
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            ours = GlobalHydra.instance().hydra
            assert ours is not None
            ours.config_loader = CachingConfigLoader(ours.config_loader)  # which has a file for `strong=OWNER/NAME`
            yield hydra.compose("config", overrides=words, return_hydra_config=with_hydra)
    except HydraException as error:
        raise ConfigError([" ".join(str(error).split())]) from error
