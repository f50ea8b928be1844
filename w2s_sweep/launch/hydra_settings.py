"""What a command or an experiment says of Hydra itself: each setting acts as in stock Hydra, or is refused by name.

Without `-m` Hydra runs the one job itself, and all of them act. With `-m` the launcher runs all cells as one graph, and
does here what Hydra's own launchers do for each job.
"""

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.conf import JobConf
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from w2s_sweep.errors import ConfigError
from w2s_sweep.launch.files import LOOKS_AROUND
from w2s_sweep.store import Store
from w2s_sweep.store.files import explain_errors

ACT = frozenset({"mode", "searchpath", "run", "sweep", "hydra_logging", "sweeper", "launcher", "callbacks",
                 "help", "hydra_help", "job", "verbose"})  # fmt: skip
"""Settings of `hydra` that act with `-m`, but for those in `REFUSED`."""
FILLED = frozenset({"overrides", "runtime"})
"""What Hydra writes there itself."""
REFUSED: Mapping[str, tuple[Any, str]] = {
    "job.chdir": (
        False,
        "cells share processes, so none has a folder to run in. Leave it out: paths are relative to where the "
        "command is typed",
    ),
    "output_subdir": (None, "what each cell is stands in the sweep's sweep.json. Leave it out"),
    "sweep.subdir": ("${hydra.job.num}", "cells have no folders, their stages have. Leave it out"),
    "job_logging": (None, "stages write their own logs, see w2s logs KEY. Leave it out, or use hydra/job_logging=none"),
}
"""Settings that would act in a job of its own -> the value without effect, and why no other has one with `-m`."""


def refuse_unused(config: DictConfig) -> None:
    """ConfigError with the settings of `hydra` that nothing would act on in a multirun."""
    said = OmegaConf.to_container(config.hydra, resolve=False)
    problems: list[str] = []
    for name, (plain, why) in REFUSED.items():
        value: Any = said
        for part in name.split("."):
            value = value.get(part)
        if value != plain and not (name == "job_logging" and _logs_nothing(value)):
            problems.append(f"hydra.{name}: got {_short(value)}, but with -m {why}.")
    if LOOKS_AROUND.search(repr(config.hydra.job._get_node("env_set"))):
        problems.append(
            "hydra.job.env_set: depends on other settings, but with -m cells share processes, and one environment. "
            "Give values, or ${oc.env:NAME}."
        )
    if problems:
        raise ConfigError(problems)


def make_sweep_folder(config: DictConfig) -> None:
    """The folder in which sweepers leave records of their own. In a store of a group its parent is everybody's."""
    with explain_errors(folder := Path(config.hydra.sweep.dir)):
        Store(Path(config.store)).give_group_rights()
        folder.mkdir(parents=True, exist_ok=True)


def _logs_nothing(value: Any) -> bool:
    """Whether a logging configuration is that of hydra/job_logging=none or disabled."""
    root: Any = value and value.get("root")
    return not (root and root.get("handlers"))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."


def stage_environment(job: DictConfig | JobConf) -> dict[str, str]:
    """`hydra.job.env_set` with what `hydra.job.env_copy` added to it: variables that stages run with."""
    found = OmegaConf.to_container(job.env_set, resolve=True)
    return {str(name): str(value) for name, value in dict[Any, Any](found).items()}  # pyright: ignore


class CellCallbacks:
    """`hydra.callbacks` of each cell of a multirun: all start before the first stage, and end after the last.

    As for any launcher, `on_job_start` and `on_job_end` get the whole configuration of the cell, `hydra` included.
    """

    def __init__(self, context: HydraContext, task: TaskFunction, configs: Sequence[DictConfig]):
        self.context, self.task, self.configs = context, task, configs

    def start(self) -> None:
        for config in self.configs:
            with as_current(config):
                self.context.callbacks.on_job_start(config=config, task_function=self.task)

    def end(self, returned: Sequence[JobReturn]) -> None:
        for config, one in zip(self.configs, returned, strict=True) if self.configs else ():
            with as_current(config):
                one.hydra_cfg = OmegaConf.create({"hydra": config.hydra})
                self.context.callbacks.on_job_end(config=config, job_return=one)


def number_job(config: DictConfig, place: int) -> DictConfig:
    """The whole configuration of a job as Hydra's launchers complete it: its number, its id, where it runs."""
    with read_write(config), open_dict(config):
        config.hydra.job.num = place
        config.hydra.job.id = f"job_id_for_{place}"
        config.hydra.runtime.output_dir = os.path.abspath(str(config.hydra.sweep.dir))
    return config


@contextmanager
def as_current(config: DictConfig) -> Generator[None]:
    """Within, `${hydra:...}` is that of this configuration."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before
