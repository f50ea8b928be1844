"""Composes the cells of a large grid quickly: the defaults list depends on the choice of groups alone.

Hydra composes each cell from scratch, and the command line itself twice. Here Hydra composes each combination of groups
once. Plain values are then set with Hydra's own grammar: the same values of all cells in that composition, those of a
single cell in a copy, which shares every part that does not change. Whatever is not a plain value (a group, `hydra.*`,
a package) goes to Hydra. A test holds the two ways equal.
"""

import copy
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra.core.config_loader import ConfigLoader
from hydra.core.default_element import ResultDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigSource
from hydra.types import RunMode
from omegaconf import DictConfig, Node, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from w2s_sweep.config.read import is_list
from w2s_sweep.launch.files import OF_HYDRA, Files
from w2s_sweep.launch.hydra_settings import as_current, number_job
from w2s_sweep.launch.parts import Base, Parts, node_of, plain_part
from w2s_sweep.launch.references import with_named
from w2s_sweep.modules import import_all


class CachingConfigLoader(ConfigLoaderImpl):
    """Hydra's loader, with one cache of config files for all cells and one composition per combination of groups."""

    def __init__(self, stock: ConfigLoader):
        assert isinstance(stock, ConfigLoaderImpl)
        vars(self).update(vars(stock))
        self._files: Files | None = None
        self._searchpath: list[str] = []
        self._looked_at: tuple[str | None, list[str], DictConfig] | None = None
        self._bases: dict[tuple[tuple[str, ...], tuple[str, ...]], Base] = {}
        self._parts = Parts()
        self._apart = False
        self._cells: dict[tuple[str, ...], DictConfig] = {}
        self._parsed: dict[str, Override] = {}
        self._plain: dict[str, bool] = {}
        self._values: dict[str, str] = {}
        self._said: tuple[DictConfig | None, set[str]] = None, set()
        """A command line, and what it sets once for all cells."""
        self._parser = OverridesParser.create(config_loader=self)

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """The composed command line.

        Hydra composes all of it to learn `hydra.mode` (with `validate_sweep_overrides=False`), and then once more to
        run it: the second time it gets the same again, unless a group is still missing, which only running refuses.
        """
        looked_at, self._looked_at = self._looked_at, None
        if validate_sweep_overrides and looked_at is not None and looked_at[0] == config_name:
            more = overrides[len(looked_at[1]) :]
            if overrides == [*looked_at[1], *more] and all(line.startswith("hydra.mode=") for line in more):
                parsed = [self._parse(line) for line in overrides]
                self.validate_sweep_overrides_legal(overrides=parsed, run_mode=run_mode, from_shell=from_shell)
                self._apply_overrides_to_config(parsed[len(looked_at[1]) :], looked_at[2])
                looked_at[2].hydra.overrides.hydra.extend(more)
                return looked_at[2]
        composed = super().load_configuration(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
        if not validate_sweep_overrides and "???" not in composed.hydra.runtime.choices.values():
            self._looked_at = config_name, list(overrides), composed
        return composed

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        searchpath = [line for line in overrides if line.lstrip("+").startswith("hydra.searchpath=")]
        if self._files is not None and searchpath in ([], self._searchpath):
            return [self._parse(line) for line in overrides], self._files
        parsed, fresh = super()._parse_overrides_and_create_caching_repo(config_name, overrides)
        self._files, self._searchpath = Files(fresh), searchpath
        return parsed, self._files

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        # Hydra puts the nodes of the files themselves into what it composes, and overrides write into these. It reads
        # each file again for every job; here they are kept, so what is written must not come into the next composition.
        return copy.deepcopy(super()._compose_config_from_defaults_list(defaults, repo))

    def get_group_options(
        self,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        """The choices of a group for `glob`, `--help` and completion, those of `hydra.searchpath` too, which Hydra's
        leaves out; files that others build on are none."""
        if self._files is None or config_name is not None:
            found = super().get_group_options(group_name, results_filter, config_name, overrides)
        else:
            found = self._files.get_group_options(group_name, results_filter)
        return [name for name in found if not name.startswith("_")]

    def get_sources(self) -> list[ConfigSource]:
        """Where files are looked for, `hydra.searchpath` too, which Hydra's own leaves out."""
        return super().get_sources() if self._files is None else self._files.get_sources()

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """The configuration of one cell, with the `hydra` node only where one of its settings asks for that."""
        key = tuple(sweep_overrides)
        if key not in self._cells:
            self._cells[key] = self._compose(master_config, list(key))
        return self._cells[key]

    def plain(self, master: DictConfig, overrides: Sequence[str]) -> dict[str, Any] | None:
        """The settings of one cell, shared with other cells where they say the same; None where one looks at others."""
        base, varying = self._base_of(master, overrides)
        if base is None or base.looks_around([self._value(line) for line in varying]):
            return None
        with suppress(HydraException, OmegaConfBaseException):  # raised again, of all settings, where all are composed
            return self._parts.cell(base, [self._parse(line) for line in varying])
        return None

    def _compose(self, master: DictConfig, overrides: list[str]) -> DictConfig:
        base, varying = self._base_of(master, overrides)
        if base is None:
            return self.whole(master, overrides)  # what it says depends on all overrides
        values = [self._value(line) for line in varying]
        cell = base.copy_with(values, [self._parse(line).key_or_group for line in varying])
        self._apply_overrides_to_config([self._parse(line) for line in varying], cell)
        return cell

    def _base_of(self, master: DictConfig, overrides: Sequence[str]) -> tuple[Base | None, Sequence[str]]:
        """The composition that a cell is a copy of, None where Hydra must compose all of it; and what it sets."""
        plain = [line for line in overrides if self._is_known_plain(line)]
        chosen = tuple(line for line in overrides if not self._is_known_plain(line))
        if self._said[0] is not master:
            lines = OmegaConf.to_container(master.hydra.overrides.task, resolve=False) or ()
            self._said = master, {str(line) for line in lines}
        said_once = self._said[1]
        fixed = tuple(line for line in plain if line in said_once)
        varying = [line for line in plain if line not in said_once]
        if self._overlap(fixed, varying):  # then their order counts
            fixed, varying = (), plain
        # Hydra composes every job from scratch, so large sweeps start slowly (facebookresearch/hydra#1324); much of the
        # time goes into copies of nodes (facebookresearch/hydra#1543).
        base = self._base(master, chosen, fixed)
        asks = base.asks_hydra or any(OF_HYDRA in self._value(line) for line in overrides)
        return None if asks else base, varying

    def whole(self, master: DictConfig, overrides: list[str]) -> DictConfig:
        """A cell as Hydra composes it, `hydra` included."""
        return super().load_sweep_config(master, overrides)

    def expect(self, jobs: Sequence[Sequence[str]]) -> None:
        """Learn which choices the cells of a grid make: many combinations of few are put together from each alone."""
        said = {tuple(line for line in one if not self._is_known_plain(line)) for one in jobs}
        self._apart = len(said) > 1 + len({line for one in said for line in one})

    def _base(self, master: DictConfig, chosen: tuple[str, ...], fixed: tuple[str, ...]) -> Base:
        if (chosen, fixed) not in self._bases:
            together = self._together(master, chosen, fixed) if self._apart else None
            self._bases[chosen, fixed] = together or Base(self._compose_alone(master, chosen, fixed))
        return self._bases[chosen, fixed]

    def _together(self, master: DictConfig, chosen: tuple[str, ...], fixed: tuple[str, ...]) -> Base | None:
        """Several choices put together from each of them alone; None where one has to do with another."""
        varying = [line for line in chosen if line not in self._said[1]]
        if len(varying) < 2:
            return None
        others = [tuple(one for one in chosen if one == line or one not in varying) for line in varying]
        try:
            without = self._base(master, tuple(line for line in chosen if line not in varying), fixed)
            own = [self._parse(line) for line in varying]
            names = [one.package or one.key_or_group for one in own]
            alone = {name: self._base(master, one, fixed) for name, one in zip(names, others, strict=True)}
        except (HydraException, OmegaConfBaseException):
            self._apart = False  # what cannot be alone is composed together, as is all else: it would fail each time
            return None
        # A file that is chosen by two choices together is in neither of these compositions.
        return None if self._files is None or self._files.choose_by_others else without.join(alone)

    def _compose_alone(self, master: DictConfig, chosen: tuple[str, ...], fixed: tuple[str, ...]) -> DictConfig:
        composed = super().load_sweep_config(master, list(chosen))
        with open_dict(composed):
            composed.pop("hydra")
        self._apply_overrides_to_config([self._parse(line) for line in fixed], composed)
        return composed

    def _overlap(self, some: Sequence[str], others: Sequence[str]) -> bool:
        """Whether an override of the one list sets what, or a part of what, one of the other list sets."""
        left, right = ([f"{self._parse(line).key_or_group}." for line in lines] for lines in (some, others))
        return any(a.startswith(b) or b.startswith(a) for a in left for b in right)

    def _parse(self, line: str) -> Override:
        if line not in self._parsed:
            self._parsed[line] = self._parser.parse_override(line)
            self._parsed[line].config_loader = self  # which Hydra's `parse_overrides` sets, for glob()
        return self._parsed[line]

    def _value(self, line: str) -> str:
        """What a line sets, as text: a sweeper escapes the characters of an interpolation, parsing brings them back."""
        if line not in self._values:
            override = self._parse(line)
            self._values[line] = "" if override.is_sweep_override() else str(override.value())
        return self._values[line]

    def _is_known_plain(self, line: str) -> bool:
        if line not in self._plain:
            self._plain[line] = self._is_plain_value(line)
        return self._plain[line]

    def _is_plain_value(self, line: str) -> bool:
        """Whether an override sets a value in the composed configuration and changes nothing else."""
        override = self._parse(line)
        key = override.key_or_group
        return (
            override.package is None
            and not override.is_delete()
            and not override.is_sweep_override()
            and not key.startswith("hydra")
            and not (self._files or self.repository).group_exists(key)
        )


def plain_cell(config: DictConfig) -> dict[str, Any]:
    """A composed cell as a plain dictionary, interpolations resolved, `hydra` left out."""
    if "hydra" in config:
        with as_current(config):
            return _resolve_names(_plain(config, {}), {})
    return _resolve_names(_plain(config, {}), {})


def _plain(config: DictConfig, known: dict[int, tuple[Node | None, Any]]) -> dict[str, Any]:
    """`known` keeps what parts came to, for the cells after it that share them (see `Base.copied`)."""
    nodes = {str(name): node_of(config, str(name)) for name in config if name != "hydra"}
    for name, node in nodes.items():
        if id(node) not in known:
            # The node is kept beside its value: while it lives, no other node can have its id.
            known[id(node)] = node, plain_part(config, name)
    return {name: known[id(node)][1] for name, node in nodes.items()}


READ_BY_NAME = ("tests", "method", "modules")


def _resolve_names(cell: dict[str, Any], known: dict[tuple[int, ...], dict[str, Any]]) -> dict[str, Any]:
    """With whole models and datasets for names of files; `known` keeps parts that live as long as it does."""
    key = tuple(id(cell.get(name)) for name in READ_BY_NAME)
    if key not in known:
        if is_list(modules := cell.get("modules")):  # anything else is reported where the cell is parsed
            import_all([str(one) for one in modules])
        whole = with_named(cell)
        known[key] = {name: whole[name] for name in READ_BY_NAME if name in whole}
    return cell | known[key]


def keep_last(overrides: Sequence[str]) -> tuple[str, ...]:
    """The overrides of a job, each setting once: a value in the command replaces what an experiment sweeps.

    Hydra's sweeper takes the two for different settings, since the command's carry `++` (see `preflight`), and would
    multiply them.
    """
    kept: dict[str, str] = {}
    for line in overrides:
        name = line.lstrip("+").partition("=")[0]
        kept.pop(name, None)
        kept[name] = line
    return tuple(kept.values())


def compose_cells(
    loader: ConfigLoader, master: DictConfig, jobs: Sequence[Sequence[str]], first: int = 0
) -> list[dict[str, Any]]:
    """The plain configuration of every job of a multirun; `first`: the number of the first one."""
    known: dict[int, tuple[Node | None, Any]] = {}
    named: dict[tuple[int, ...], dict[str, Any]] = {}
    cells: list[dict[str, Any]] = []
    if isinstance(loader, CachingConfigLoader):
        loader.expect(jobs)
    for place, overrides in enumerate(jobs):
        shared = loader.plain(master, overrides) if isinstance(loader, CachingConfigLoader) else None
        if shared is not None:
            cells.append(_resolve_names(shared, named))
            continue
        config = loader.load_sweep_config(master, list(overrides))
        if "hydra" in config:
            cells.append(plain_cell(number_job(config, first + place)))
        else:
            cells.append(_resolve_names(_plain(config, known), named))
    return cells
