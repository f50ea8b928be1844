"""What a site sets for all its commands in conf/local/default.yaml, as far as commands without Hydra need it."""

import os
from pathlib import Path

from w2s_sweep.errors import ConfigError

HERE = Path(__file__).resolve()
CONF = next(p for p in (HERE.parents[2] / "conf", HERE.parents[1] / "conf") if p.is_dir())
"""`conf/` of a checkout, or of the installed package."""


def usual_store(conf: Path = CONF) -> str:
    """The store where no other is named: $W2S_STORE, else that of the site, else ./runs as in conf/config.yaml."""
    return os.environ.get("W2S_STORE") or _of_site(conf / "local" / "default.yaml") or "runs"


def _of_site(path: Path) -> str | None:
    if not path.is_file():
        return None
    import yaml
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        said = OmegaConf.load(path)
        store = said.get("store") if isinstance(said, DictConfig) else None
    except (OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError([f"store: {path} cannot be read ({error}). Correct it, or say --store FOLDER."]) from error
    return None if store is None else str(store)
