"""Cells of a grid as plain dictionaries of shared parts: what cells say alike of a setting or group is computed once.

Parts are read and never written, for they are those of other cells too.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.types import Override
from omegaconf import Container, DictConfig, Node, OmegaConf

from w2s_sweep.launch.files import LOOKS_AROUND, OF_HYDRA, interpolates


class Base:
    """A composition that cells are copies of."""

    def __init__(self, config: DictConfig):
        self.config = config
        self.interpolates = interpolates(config)
        self.asks_hydra = OF_HYDRA in repr(config)
        self.texts = {str(name): repr(node_of(config, str(name))) for name in config}
        """Setting or group -> what says all of it."""

    def copy_with(self, values: Sequence[str], keys: Sequence[str]) -> DictConfig:
        """A copy in which `keys` can be set to `values`; without interpolations, which look at parents, it shares the
        rest."""
        if self.looks_around(values):
            return copy.deepcopy(self.config)
        # deepcopy takes what its memo holds for copied already, so the cells share these nodes. That is safe: overrides
        # write below `touched` alone, everything after them only reads, and no value looks at a parent.
        touched = {key.partition(".")[0] for key in keys}
        nodes = {name: node_of(self.config, str(name)) for name in self.config if name not in touched}
        return copy.deepcopy(self.config, {id(node): node for node in nodes.values()})

    def join(self, others: Mapping[str, "Base"]) -> "Base | None":
        """This composition with the changes that each of `others` makes to it. `others`: by the setting they choose.

        None where two of them change the same setting, where one chooses no setting (an experiment, which may make
        choices of its own), or where a value depends on other values.
        """
        differing = [
            {name for name in {*self.texts, *one.texts} if self.texts.get(name) != one.texts.get(name)}
            for one in others.values()
        ]
        # A choice of what is chosen anyway changes nothing here, and would where another one changed it.
        changed = [{chosen} | names for chosen, names in zip(others, differing, strict=True)]
        names = set[str]().union(*changed)
        if sum(map(len, changed)) > len(names) or not others.keys() <= self.texts.keys():
            return None
        if any(one.interpolates or one.asks_hydra for one in (self, *others.values())):
            return None
        config = self.copy_with((), tuple(names))
        content: Any = config._content  # pyright: ignore[reportPrivateUsage]
        for one, own in zip(others.values(), differing, strict=True):
            content |= {name: node for name in own if (node := node_of(one.config, name)) is not None}
            for name in own - one.texts.keys():
                del content[name]
        return Base(config)

    def looks_around(self, values: Sequence[str]) -> bool:
        """Whether a value, in it or of these, depends on others."""
        return self.interpolates or any(LOOKS_AROUND.search(value) for value in values)

    def only(self, name: str) -> DictConfig:
        """A copy of one setting or group, in a configuration of its own."""
        node = node_of(self.config, name)
        alone = OmegaConf.create({} if node is None else {name: copy.deepcopy(node)})
        OmegaConf.set_struct(alone, OmegaConf.is_struct(self.config))
        return alone


class Parts:
    """Settings and groups of cells that were computed already, whatever bases they are of."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None, tuple[str, ...]], Any] = {}

    def cell(self, base: Base, overrides: Sequence[Override]) -> dict[str, Any]:
        """`base` with overrides, none of which looks around; raises what OmegaConf and Hydra raise."""
        said: dict[str, list[Override]] = {name: [] for name in base.texts}
        for override in overrides:
            said.setdefault(override.key_or_group.partition(".")[0], []).append(override)
        return {name: self._part(base, name, own) for name, own in said.items()}

    def _part(self, base: Base, name: str, overrides: Sequence[Override]) -> Any:
        key = name, base.texts.get(name), tuple(str(one.input_line) for one in overrides)
        if key not in self._known:
            config = base.only(name)
            ConfigLoaderImpl._apply_overrides_to_config(list(overrides), config)  # pyright: ignore[reportPrivateUsage]
            self._known[key] = plain_part(config, name)
        return self._known[key]


def node_of(config: DictConfig, name: str) -> Node | None:
    """A setting as OmegaConf keeps it; None where there is none."""
    node = config._get_node(name)  # pyright: ignore[reportPrivateUsage]
    assert node is None or isinstance(node, Node)
    return node


def plain_part(config: DictConfig, name: str) -> Any:
    """One setting of a composed cell, or all settings of a group, as plain JSON."""
    value = "???" if OmegaConf.is_missing(config, name) else config[name]
    return OmegaConf.to_container(value, resolve=True) if isinstance(value, Container) else value
