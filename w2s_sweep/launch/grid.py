"""`hydra/sweeper=grid`: a grid as Hydra's basic sweeper makes it, counted before a cell is composed, and with `zip`."""

import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, ListConfig, OmegaConf

from w2s_sweep.amounts import show_time
from w2s_sweep.errors import ConfigError, Interrupted, unknown
from w2s_sweep.launch.pairs import tell

MOST_CELLS = 10_000
"""A grid of more cells is asked for first."""
CELLS_A_SECOND = 200
"""Composed and planned, about, on one core."""

Choices = Mapping[str, Sequence[str]]
"""Setting -> the overrides that it is swept over, one where it is not."""


class GridSweeper(Sweeper):
    """Runs a grid. `params`: what is swept over besides the command line, which overrules it.

    Not a subclass of Hydra's own, whose module Hydra loads a second time when it looks for plugins.
    """

    def __init__(self, max_batch_size: int | None = None, params: Mapping[str, Any] | None = None):
        if max_batch_size is not None and max_batch_size < 1:
            raise ConfigError([f"hydra.sweeper.max_batch_size: got {max_batch_size}. Use 1 or more, or null for all."])
        self.max_batch_size, self.params = max_batch_size, params or {}

    launcher: Launcher | None
    hydra_context: HydraContext | None
    config: DictConfig | None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        assert self.hydra_context is not None
        assert self.config is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        parsed = parser.parse_overrides([*(f"{name}={value}" for name, value in self.params.items()), *arguments])
        choices = choices_of(parsed)
        groups = group(choices, self.config.get("zip"))
        count = math.prod(len(choices[one[0]]) for one in groups)
        if any(len(one) > 1 for one in groups):
            tell(_describe(choices, groups, count))
        require_yes(count, self.config.get("yes") is True)
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        jobs = cells_of(choices, groups)
        size = self.max_batch_size or max(len(jobs), 1)
        batches = [jobs[i : i + size] for i in range(0, len(jobs), size)] or [[]]
        returned: list[Sequence[JobReturn]] = []
        for place, batch in enumerate(batches):
            returned.append(self.launcher.launch(batch, initial_job_idx=place * size))
            _ = [one.return_value for one in returned[-1]]  # raises what a job failed with
        return returned


def choices_of(overrides: Sequence[Override]) -> dict[str, list[str]]:
    """What each setting is swept over: said twice, the last time counts.

    ConfigError for an interval, which has no values that could be counted.
    """
    choices: dict[str, list[str]] = {}
    problems: list[str] = []
    for one in overrides:
        key = one.get_key_element()
        for other in [name for name in choices if name.lstrip("+") == key.lstrip("+")]:
            choices[key] = choices.pop(other)  # `++seed` of the command is the `seed` of an experiment
        if one.is_sweep_override() and not one.is_discrete_sweep():
            problems.append(
                f"{str(one.input_line).lstrip('+')}: a grid takes values, and an interval has no end of them. Use "
                f"{one.key_or_group}=1,2,3 or range(1,10,3), or a search: hydra/sweeper=optuna."
            )
            continue
        values = one.sweep_string_iterator() if one.is_sweep_override() else [one.get_value_element_as_str()]
        choices[key] = [f"{key}={value}" for value in values]
    if problems:
        raise ConfigError(problems)
    return choices


def group(choices: Choices, said: Any) -> list[list[str]]:
    """All settings, those together that take their values together; each group where its first setting stands.

    `said`: the setting `zip`, lists of names; `weak` stands for `model@weak`, too. ConfigError with all that is wrong.
    """
    short = {name.lstrip("+").removeprefix("model@"): name for name in choices} | {n.lstrip("+"): n for n in choices}
    problems: list[str] = []
    together: list[list[str]] = []
    entries: list[Any] = list(said or [])
    for entry in entries:
        if (len(entry) if isinstance(entry, ListConfig) else 0) < 2:
            problems.append(f"zip: got {entry!r}, needs lists of two or more settings, as in zip=[[weak,strong]].")
            continue
        names = [str(name) for name in entry]
        absent = [name for name in names if name not in short]
        problems += [
            f"{unknown('zip', name, short)} These are set by the command or its experiment." for name in absent
        ]
        keys = [short[name] for name in names if name in short]
        if len({len(choices[key]) for key in keys}) > 1:
            sizes = ", ".join(f"{len(choices[short[name]])} of {name}" for name in names if name in short)
            problems.append(
                f"zip: got {sizes}; settings that vary together have equally many values. Add or drop some."
            )
        if len({*keys}.union(*together)) < sum(map(len, [keys, *together])):
            problems.append(f"zip: {', '.join(names)}: a setting can stand in one list once.")
        together.append(keys)
    if problems:
        raise ConfigError(problems)
    found: list[list[str]] = []
    for name in choices:
        one = next((keys for keys in together if name in keys), [name])
        if one not in found:
            found.append(one)
    return found


def cells_of(choices: Choices, groups: Sequence[Sequence[str]]) -> list[list[str]]:
    """The overrides of every cell, the last group changing fastest, settings in the order in which they were said."""
    rows = [list(zip(*(choices[name] for name in one), strict=True)) for one in groups]
    names = [name for one in groups for name in one]
    cells = (dict(zip(names, itertools.chain(*chosen), strict=True)) for chosen in itertools.product(*rows))
    return [[cell[name] for name in choices] for cell in cells]


def _describe(choices: Choices, groups: Sequence[Sequence[str]], count: int) -> str:
    swept = [one for one in groups if len(choices[one[0]]) > 1]
    parts = [f"{len(choices[one[0]])} of {' with '.join(name.lstrip('+') for name in one)}" for one in swept]
    return f"grid: {' x '.join(parts)} = {count:,} cells"


def require_yes(count: int, yes: bool) -> None:
    """Ask before a huge grid is composed; ConfigError where nobody can answer, Interrupted where the answer is no."""
    if yes or count <= MOST_CELLS:
        return
    work = f"{count:,} cells, and takes about {show_time(count / CELLS_A_SECOND)} to compose and plan"
    if not sys.stdin.isatty():
        raise ConfigError(
            [f"yes: false, but the grid has {work}. Set yes=true (or --yes), or sweep over fewer values."]
        )
    tell(f"This grid has {work}. (yes=true or --yes answers.)")
    if input("Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise Interrupted("nothing was run")
