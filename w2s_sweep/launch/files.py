"""The files that Hydra composes, each read once a process and merged once with those that it builds on."""

import copy
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_loader import ConfigLoader
from hydra.core.default_element import ConfigDefault, InputDefault
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult
from omegaconf import MISSING, Container, OmegaConf

from w2s_sweep.cells.described import LEFT_OPEN
from w2s_sweep.launch.hub_choice import can_be_repository

LOOKS_AROUND = re.compile(r"\$\{(?!oc\.env:)")
"""An interpolation of other settings."""

OF_HYDRA = "${hydra:"
"""What begins an interpolation of Hydra's own configuration, such as the name of a chosen file."""

OF_THE_HUB = "model/_hub"
"""What models of the hub have in common."""

READ: dict[bytes, ConfigResult] = {}
"""Content of a file -> what it comes to: the sweeps of one process, such as a notebook, share nearly all files."""


class Folder(FileConfigSource):
    """A folder of files. YAML is slow to parse, so what has been parsed once is copied."""

    def load_config(self, config_path: str) -> ConfigResult:
        content = (Path(self.path) / self._normalize_file_name(config_path)).read_bytes()
        if content not in READ:
            READ[content] = super().load_config(config_path)
        known = READ[content]
        # Hydra takes the defaults list out of what it gets.
        return replace(known, config=copy.deepcopy(known.config), path=f"file://{self.path}", provider=self.provider)


class Files(CachingConfigRepository):
    """The files of all groups, each merged once with those of its group that it builds on (`defaults: [_hub, _self_]`).

    Hydra would merge them anew for every combination of groups.
    """

    def __init__(self, stock: CachingConfigRepository):
        vars(self).update(vars(stock))
        assert isinstance(self.delegate, ConfigRepository)
        self.delegate.sources = [
            Folder(one.provider, one.path) if one.scheme() == "file" else one for one in self.delegate.sources
        ]
        self._whole: dict[str, ConfigResult | None] = {}
        self.choose_by_others = False
        """Whether a defaults list that was read has an entry like `${dataset}_${loss}`."""

    def load_config(self, config_path: str) -> ConfigResult | None:
        if config_path not in self._whole:
            own = super().load_config(config_path)
            self.choose_by_others |= own is not None and "${" in repr(own.defaults_list)
            if own is not None and config_path.startswith("hydra/sweeper/"):
                # Hydra refuses a file with the name of a plugin's schema, in whose place our optuna.yaml stands.
                own = replace(own, is_schema_source=True)
            own = own or self._of_the_hub(config_path)
            self._whole[config_path] = own and self._merge(own, config_path.rpartition("/")[0])
        return self._whole[config_path]

    def _of_the_hub(self, config_path: str) -> ConfigResult | None:
        """The file that a repository of the hub would have in the group `model`; what only the hub says is open."""
        group, _, repository = config_path.partition("/")
        if group != "model" or not can_be_repository(repository, self.get_group_options(group, ObjectType.GROUP)):
            return None
        if (base := self.load_config(OF_THE_HUB)) is None:
            return None
        config = copy.deepcopy(base.config)
        for name in LEFT_OPEN:
            config[name] = MISSING  # which a merge would take for nothing said
        OmegaConf.update(config, "source.repository", repository)
        return replace(base, config=config, defaults_list=[])

    def _merge(self, own: ConfigResult, group: str) -> ConfigResult:
        """The file merged with its bases; unchanged where only Hydra can compose them."""
        bases = [self.load_config(f"{group}/{name}") for name in bases_of(own.defaults_list or [])]
        parts = [part for part in (*bases, own) if part is not None]
        plain = all(part.header == own.header and not interpolates(part.config) for part in parts)
        if len(parts) == 1 or not plain or any(base is None or base.defaults_list for base in bases):
            return own
        return replace(own, config=OmegaConf.merge(*(part.config for part in parts)), defaults_list=[])


def choices(files: CachingConfigRepository | ConfigLoader, group: str) -> list[str]:
    """All but the files that others build on, whose names begin with `_`; of folders inside the group too."""
    names = files.get_group_options(group, ObjectType.CONFIG)
    inside = [] if group.startswith("hydra/") else files.get_group_options(group, ObjectType.GROUP)  # of sweepers
    below = [f"{folder}/{name}" for folder in inside for name in choices(files, f"{group}/{folder}")]
    return sorted({name for name in names if not name.startswith("_")} | set(below))


def bases_of(defaults: Sequence[InputDefault]) -> list[str]:
    """The files of its own group that a file begins with; none where its defaults list has anything else."""
    names = [d.path or "" for d in defaults if isinstance(d, ConfigDefault) and not (d.package or d.optional)]
    if len(names) < len(defaults) or names[-1:] != ["_self_"] or any("/" in name for name in names):
        return []
    return names[:-1]


def interpolates(config: Container) -> bool:
    """Whether a value depends on others; one that comes out of the environment, as a site's store may, does not."""
    return LOOKS_AROUND.search(repr(config)) is not None
