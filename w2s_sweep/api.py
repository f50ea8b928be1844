"""Sweeps from Python: run them, and read their results and predictions as Arrow tables and figures.

import w2s_sweep as w2s

sweep = w2s.load("demo", store="runs")
sweep.cells.to_pandas()
sweep.predictions(0, "student")
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from w2s_sweep.errors import ConfigError, StoreError, unknown
from w2s_sweep.launch.main import launch
from w2s_sweep.launch.site import usual_store
from w2s_sweep.predictions import FILE, read_table
from w2s_sweep.results.collect import collect
from w2s_sweep.results.collected import Results, with_usage
from w2s_sweep.results.relocate import relocate
from w2s_sweep.results.tables.arrow import cell_table, comparison_table, curve_table, group_table, usage_table
from w2s_sweep.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Sweep:
    """A sweep, or several joined, as far as they had run when they were loaded.

    docs/COLUMNS.md says what the columns of the tables are; `w2s report` writes the same tables to files. pandas and
    polars take them with `.to_pandas()` and `polars.from_arrow(table)`.
    """

    store: Store
    results: Results
    """The same results as records, with their keys and the settings of every cell."""

    @property
    def name(self) -> str:
        return self.results.sweep

    @cached_property
    def cells(self) -> pa.Table:
        """A row per cell; row i is cell i."""
        return cell_table(relocate(self.store, self.results))

    @cached_property
    def groups(self) -> pa.Table:
        """A row per group of cells that differ in the seed only: means over seeds."""
        return group_table(self.results)

    @cached_property
    def comparisons(self) -> pa.Table:
        """A row per setting that is compared with the baseline: over all tasks, and on each."""
        return comparison_table(self.results)

    @cached_property
    def curves(self) -> pa.Table:
        """A row per group, role and evaluation on the way through training: accuracy, agreement, PGR over steps."""
        return curve_table(self.results)

    @cached_property
    def usage(self) -> pa.Table:
        """A row per kind of work: time and memory that it used, and that SLURM tasks had asked for."""
        return usage_table(with_usage(self.store, self.results))

    def roles(self, cell: int) -> dict[str, str]:
        """Role -> key of the stage that plays it in a cell. StoreError where there is no such cell."""
        cells = self.results.record["cells"]
        if cell in range(len(cells)):
            return dict(cells[int(cell)]["roles"])
        allowed = f"0 to {len(cells) - 1}, the column `cell` of `cells`" if cells else "none, the sweep has no cells"
        raise StoreError(f"cell: {cell!r} is no cell of {self.name}. Allowed: {allowed}.")

    def key(self, cell: int, role: str) -> str:
        """Key of the stage that plays `role` in a cell, finished or not. StoreError where there is none."""
        roles = self.roles(cell)
        if role not in roles:
            text = unknown("role", role, roles)
            raise StoreError(f"{text} Those are the roles of cell {cell} of {self.name}: choose one of them.")
        return roles[role]

    def stage(self, cell: int, role: str) -> Path:
        """Folder of the finished stage that plays `role` in a cell, every digest checked.

        StoreError where there is none yet, or it is damaged.
        """
        key = self.key(cell, role)
        if self.store.path(key).is_dir():
            return self.store.verify(key)
        failure = self.results.failures.get(key)
        why = f"it failed ({failure})" if failure else "it has not finished"
        raise StoreError(
            f"role: {role!r} of cell {cell} of {self.name} is stage {key}, and {why}. Run what is missing with `w2s "
            "retry`, or choose a cell whose `state` is done."
        )

    def predictions(self, cell: int, role: str) -> pa.Table:
        """What the stage that plays `role` in a cell says about every example: predictions.parquet, as it is.

        Rows are examples of all splits that it predicts, in any order; join on `id`. StoreError where the stage is not
        finished, or its file is damaged.
        """
        return read_table(self.stage(cell, role) / FILE)

    def figures(self) -> "dict[str, Figure]":
        """Name -> figure, those of the report; none before a cell is done. matplotlib's global state is left alone."""
        from w2s_sweep.results.figures import choose_plots

        return {plot.name: plot.draw(self.results) for plot in choose_plots(self.results)}


def load(sweep: str, *more: str, store: str | Path | None = None, test: str | None = None) -> Sweep:
    """A sweep of a store, or several joined: a cell that two of them have is there once.

    `test`: one of the further test sets that its cells have. `store`: the folder; None is what `w2s` takes: $W2S_STORE,
    that of conf/local/default.yaml, or ./runs. Raises StoreError where the folder is no store or has no such sweep or
    test set.
    """
    found = Store(Path(store or usual_store()).expanduser().absolute())
    if not found.stages.is_dir():
        raise StoreError(
            f"store: {found.root} is not a store. Allowed: a folder that sweeps were run with (store=FOLDER). Name it."
        )
    return Sweep(found, collect(found, sweep, *more, test=test))


def run(overrides: Sequence[str] = (), *, multirun: bool = False, config_dir: str | Path | None = None) -> Sweep:
    """Run what `python launch.py OVERRIDES` runs, in this process, and load the sweep.

    `multirun`: `-m`, a grid of all values. `config_dir`: `--config-dir`, a folder of own configuration. Finished stages
    are not run again. Raises W2SError: ConfigError or CompositionError before anything runs, StageFailed after
    everything that could run has, where a cell failed; `load` then has the other cells.
    """
    options = [word for word in overrides if word.startswith("-")]
    if isinstance(overrides, str) or options:
        got = overrides if isinstance(overrides, str) else ", ".join(options)
        raise ConfigError(
            [
                f"overrides: {got!r}. Allowed: a list of KEY=VALUE. Options of the command line are arguments here: "
                "multirun=True is -m, config_dir=FOLDER is --config-dir FOLDER."
            ]
        )
    words = (["-m"] if multirun else []) + ([] if config_dir is None else ["--config-dir", str(config_dir)])
    ran = launch("launch.py", [*words, *overrides])
    if ran is None or ran.name not in ran.store.sweeps():
        raise ConfigError(
            [
                "plan_only: true, so nothing ran, and there is no sweep to load. Leave it out, or plan on the command "
                "line: python launch.py plan_only=true ..."
            ]
        )
    return load(ran.name, store=ran.store.root)


__all__ = ["Sweep", "load", "run"]
