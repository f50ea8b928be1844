"""Where the files of groups are looked for: wherever Hydra would, asked of Hydra itself.

That is `conf/` or `--config-path`, `--config-dir`, `hydra.searchpath` of the primary configuration or the command line,
and what plugins register.
"""

import warnings
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.object_type import ObjectType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from w2s_sweep.config.read import is_mapping
from w2s_sweep.errors import ConfigError
from w2s_sweep.launch.compose import CachingConfigLoader
from w2s_sweep.launch.files import choices

SEARCHPATH = "hydra.searchpath"


class Places:
    """Answers which groups and choices there are."""

    def __init__(self, loader: CachingConfigLoader, name: str, searchpath: Sequence[str]):
        self.loader = loader
        """As Hydra's own would be for this command line; parsers take the choices of `glob` from it."""
        self.name = name
        """Of the primary configuration."""
        with warnings.catch_warnings(action="ignore"):  # Hydra warns of what is refused here
            _, files = loader._parse_overrides_and_create_caching_repo(name, list(searchpath))  # pyright: ignore[reportPrivateUsage]
        absent = [
            f"{SEARCHPATH}: {one.path} is not a folder. Correct it."
            for one in files.get_sources()
            if one.provider.startswith(SEARCHPATH) and not one.available()
        ]
        if absent:
            raise ConfigError(absent)
        self.files: CachingConfigRepository = files

    def is_group(self, key: str) -> bool:
        return self.files.group_exists(key)

    def groups(self) -> list[str]:
        """Names of the groups a person chooses from."""
        return sorted(set(self.files.get_group_options("", ObjectType.GROUP)) - {"hydra"})

    def folders(self, key: str) -> list[str]:
        """The folders of files inside a group."""
        return self.files.get_group_options(key, ObjectType.GROUP)

    def options(self, key: str) -> list[str]:
        """The choices of a group; of launchers those that merge a sweep, which are files: Hydra's run cell by cell."""
        names = choices(self.files, key)
        if key != "hydra/launcher":
            return names
        there = _on_disk(self.files, key)
        return [name for name in names if name in there]

    def launcher_fields(self, chosen: str | None) -> list[str]:
        """Settings of the launcher `chosen`, of any one where none is named: an experiment may choose it."""
        names = [chosen] if chosen else self.options("hydra/launcher")
        found = {str(key) for name in names for key in self._content(f"hydra/launcher/{name}")}
        return sorted(name for name in found if name != "defaults" and not name.startswith("_"))

    def values(self, file: str, name: str) -> list[Any]:
        """What a file says of a top-level setting; one that cannot be read is told by Hydra."""
        content = self._content(file)
        return [content[name]] if name in content else []

    def _content(self, file: str) -> dict[Any, Any]:
        with suppress(OSError, ValueError, yaml.YAMLError, HydraException, OmegaConfBaseException, AttributeError):
            found = self.files.load_config(file)
            plain = OmegaConf.to_container(found.config) if found and isinstance(found.config, DictConfig) else {}
            return dict(plain) if is_mapping(plain) else {}
        return {}


def find_places(said: Namespace, main: str, searchpath: Sequence[str]) -> Places:
    """Where Hydra looks for a command line with these flags.

    `main`: folder or package of the primary configuration; `searchpath`: the lines that set `hydra.searchpath`. Raises
    ConfigError for a folder that is not there: Hydra would only warn.
    """
    path = create_config_search_path(main)
    if said.config_dir is not None:
        folder = Path(said.config_dir).expanduser().absolute()
        if not folder.is_dir():
            raise ConfigError([f"--config-dir: {folder} is not a folder. Give one that holds groups, as conf/ does."])
        path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema"))
    loader = CachingConfigLoader(ConfigLoaderImpl(path))
    return Places(loader, said.config_name or "config", searchpath)


def _on_disk(files: CachingConfigRepository, key: str) -> set[str]:
    """Names of the files of a group that stand in folders."""
    folders = [source for source in files.get_sources() if source.scheme() == "file" and source.is_group(key)]
    return {name for source in folders for name in source.list(key, ObjectType.CONFIG)}
