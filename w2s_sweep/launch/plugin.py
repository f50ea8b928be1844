"""Our Hydra launchers: a multirun becomes one merged graph, whatever runs it.

Hydra accepts launchers only from a package `hydra_plugins`; that one check is widened to this module instead, so that
a checkout works without installation.
"""

import math
import shlex
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, env_override
from hydra.errors import InstantiationException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from w2s_sweep.cells.own_model import with_own_models
from w2s_sweep.errors import CompositionError, ConfigError, LaunchError, W2SError, unknown
from w2s_sweep.launch.compose import CachingConfigLoader, compose_cells, keep_last, plain_cell
from w2s_sweep.launch.engine import Engine
from w2s_sweep.launch.grid import GridSweeper
from w2s_sweep.launch.hydra_settings import (
    CellCallbacks,
    make_sweep_folder,
    number_job,
    refuse_unused,
    stage_environment,
)
from w2s_sweep.launch.local import LocalEngine
from w2s_sweep.launch.other_names import OF_SLURM, elsewhere
from w2s_sweep.launch.pairs import keep_pairs, tell
from w2s_sweep.launch.record import Request
from w2s_sweep.launch.returned import (
    as_job_return,
    raise_failures,
    refuse_blind_search,
    value_for_callback,
    value_for_search,
)
from w2s_sweep.launch.sweep import CellResult, Ran, run_sweep

GRIDS = {"GridSweeper", "BasicSweeper"}
"""Sweepers that run a grid, whatever the values: ours, and Hydra's own."""


class GraphLauncher(Launcher):
    """Hydra's side of a launcher; the engine does the rest."""

    def __init__(self, engine: Engine):
        self.engine: Engine = engine
        self.context: HydraContext | None = None
        self.master: DictConfig | None = None
        self.task: TaskFunction | None = None
        words = ("-m" if word == "--multirun" else word.removeprefix("++") for word in sys.argv[1:])
        typed = sorted(words, key=lambda word: not word.startswith("-"))  # flags first, as people type them
        self.request = Request(command=["python", Path(sys.argv[0]).name, *typed])

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        # The sweeper composes each job once to validate it, before it calls `launch`, and through this same context:
        # with the loader replaced here, both share one composition.
        if not isinstance(hydra_context.config_loader, CachingConfigLoader):
            hydra_context.config_loader = CachingConfigLoader(hydra_context.config_loader)
        self.context, self.master, self.task = hydra_context, config, task_function
        refuse_unused(config)
        if (sweeper := _sweeper(config)) not in GRIDS:
            self.refuse_search(sweeper, config)
        make_sweep_folder(config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        assert self.context is not None
        assert self.master is not None
        # Jobs that come to the same overrides are one cell, but Hydra needs a result for each job, in its order.
        settled = [keep_last(one) for one in job_overrides]
        jobs = list(dict.fromkeys(settled))
        composed = compose_cells(self.context.config_loader, self.master, jobs, initial_job_idx)
        composed = with_own_models(composed, jobs)
        sweeper = _sweeper(self.master)
        grid = sweeper in GRIDS
        if sweeper != "GridSweeper" and self.master.get("zip"):
            raise LaunchError(f"zip: acts with hydra/sweeper=grid alone, and this is {sweeper}. Leave one of them out.")
        kept, left_out = keep_pairs(composed) if grid else (list(range(len(jobs))), [])
        for line in left_out:
            tell(line)
        callbacks = self.callbacks({initial_job_idx + i: jobs[i] for i in kept})
        with self.environment(stage_environment(self.master.hydra.job)):
            callbacks.start()
            ran = self.run([composed[i] for i in kept], [jobs[i] for i in kept])
        callbacks.end([as_job_return(value_for_callback(one), jobs[i]) for i, one in zip(kept, ran.cells, strict=True)])
        if isinstance(self.task, Task):
            self.task.ran = ran
        found = dict.fromkeys(jobs, CellResult(math.nan)) | {
            jobs[i]: cell for i, cell in zip(kept, ran.cells, strict=True)
        }
        results = [found[one] for one in settled]
        if grid:
            raise_failures(results)
        values = [result.value if grid else value_for_search(result) for result in results]
        return [as_job_return(value, one) for value, one in zip(values, job_overrides, strict=True)]

    @contextmanager
    def environment(self, variables: Mapping[str, str]) -> Generator[None]:
        """Within, stages have these variables (`hydra.job.env_set`)."""
        with env_override(dict(variables)):
            yield

    def callbacks(self, jobs: Mapping[int, Sequence[str]]) -> CellCallbacks:
        """Those that the configuration names, of cells by their number."""
        assert self.context is not None
        assert self.master is not None
        assert self.task is not None
        loader = self.context.config_loader
        assert isinstance(loader, CachingConfigLoader)
        jobs = jobs if self.master.hydra.callbacks else {}  # whole configurations take long to compose
        configs = [number_job(loader.whole(self.master, list(one)), i) for i, one in jobs.items()]
        return CellCallbacks(self.context, self.task, configs)

    def refuse_search(self, sweeper: str, config: DictConfig) -> None:
        """LaunchError where a search would have no values to choose cells by."""
        refuse_blind_search(sweeper, config)

    def run(self, composed: Sequence[Mapping[str, Any]], overrides: Sequence[Sequence[str]]) -> Ran:
        """Run composed cells."""
        plain = [[line.removeprefix("++") for line in one] for one in overrides]
        self.request = self.request.extend(composed, plain)
        return run_sweep(self.request, self.engine)


def _sweeper(config: DictConfig) -> str:
    """Name of the class that makes the cells of a command."""
    return str(config.hydra.sweeper._target_).rpartition(".")[2]


class Task:
    """Hydra's task function. With `-m` it is only told what ran; without, it is the same path as a grid of one.

    Errors are kept, for Hydra would print them.
    """

    def __init__(self) -> None:
        self.ran: Ran | None = None
        """None where the command line asked for something else, such as `--help`."""
        self.error: W2SError | KeyboardInterrupt | None = None

    def __call__(self, config: DictConfig) -> float | None:
        try:
            launcher = _launcher(HydraConfig.get().launcher)
            if config.get("zip"):
                raise ConfigError(["zip: names settings that vary together in a grid, and this is one cell. Add -m."])
            said = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
            words = [[str(line) for line in said or ()]]
            with launcher.environment(stage_environment(HydraConfig.get().job)):
                self.ran = launcher.run(with_own_models([plain_cell(config)], words), words)
            raise_failures(self.ran.cells)
        except (W2SError, KeyboardInterrupt) as error:
            self.error = error
            return None
        except OmegaConfBaseException as error:
            self.error = CompositionError(str(error))
            return None
        return self.ran.cells[0].value


def _launcher(settings: DictConfig) -> GraphLauncher:
    """That of a run without -m, which Hydra gives none; ConfigError for one that knows no graph."""
    try:
        # Not `instantiate_launcher`, which needs the context of a multirun.
        made = Plugins.instance()._instantiate(settings)  # pyright: ignore[reportPrivateUsage]
    except InstantiationException as error:
        if isinstance(error.__cause__, W2SError):
            raise error.__cause__ from None
        raise
    if isinstance(made, GraphLauncher):
        return made
    raise ConfigError(
        [
            f"hydra/launcher: {type(made).__name__} runs cells one by one, and stages that they share once for each. "
            "Allowed: local, slurm."
        ]
    )


def _unknown_here(name: str, known: Sequence[str]) -> str:
    """What is wrong with a setting that the local launcher does not know."""
    said = elsewhere("hydra.launcher", name) or unknown("hydra.launcher", name, known)
    return f"{said} It belongs to hydra/launcher=slurm." if name in OF_SLURM else said


class LocalLauncher(GraphLauncher):
    """`hydra/launcher=local`: this machine, one process a GPU, or one process."""

    def __init__(self, **settings: Any):
        known = [one.name for one in fields(LocalEngine) if one.init]
        if wrong := settings.keys() - known:  # resources of stages, which are set before the launcher is known
            raise ConfigError([_unknown_here(str(name), known) for name in sorted(wrong)])
        super().__init__(LocalEngine(**settings))


class SlurmLauncher(GraphLauncher):
    """`hydra/launcher=slurm`: a cluster, through submitit."""

    def __init__(self, wait: bool, poll_seconds: float, pack_flops: float, **settings: Any):
        from w2s_sweep.launch.slurm.engine import SlurmEngine  # submitit is loaded only where it is used

        plain = {name: list(value) if isinstance(value, ListConfig) else value for name, value in settings.items()}
        super().__init__(SlurmEngine(plain, wait=wait, poll_seconds=poll_seconds, pack_flops=pack_flops))

    @contextmanager
    def environment(self, variables: Mapping[str, str]) -> Generator[None]:
        """Jobs have an environment of their own, so their scripts set these, and those of `w2s retry` too."""
        engine: Any = self.engine
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        if lines:
            settings = engine.settings | {"setup": [*(engine.settings.get("setup") or []), *lines]}
            self.engine = replace(engine, settings=settings)
        try:
            with super().environment(variables):
                yield
        finally:
            self.engine = engine

    def refuse_search(self, sweeper: str, config: DictConfig) -> None:
        super().refuse_search(sweeper, config)
        if not getattr(self.engine, "wait", True):
            raise LaunchError(
                f"hydra.launcher.wait: false, but {sweeper} chooses cells by the values of earlier ones. Set "
                "hydra.launcher.wait=true, or use hydra/sweeper=grid."
            )


def _display_name(name: str | None) -> str:
    return name or "unnamed"


PLUGINS = (LocalLauncher, SlurmLauncher, GridSweeper)


def register() -> None:
    """Make launchers and sweeper known to Hydra, and what names their folder."""
    OmegaConf.register_new_resolver("w2s_named", _display_name, replace=True)
    plugins = Plugins.instance()
    for cls in PLUGINS:
        plugins.register(cls)
    if STOCK_CHECK is not None:
        # Hydra 1.3 refuses launchers outside the package `hydra_plugins` (facebookresearch/hydra#1554 and #3015), even
        # registered ones. Hydra 1.4 finds plugins by entry points and has no such check (facebookresearch/hydra#3449).
        setattr(Plugins, "is_in_toplevel_plugins_module", staticmethod(_is_plugin))  # noqa: B010


STOCK_CHECK: Callable[[str], bool] | None = getattr(Plugins, "is_in_toplevel_plugins_module", None)
"""Hydra's own check, which is absent since Hydra 1.4; looked up once, since `register` may be called many times."""


def _is_plugin(name: str) -> bool:
    ours = {f"{cls.__module__}.{cls.__qualname__}" for cls in PLUGINS}
    return name in ours or (STOCK_CHECK is not None and STOCK_CHECK(name))
