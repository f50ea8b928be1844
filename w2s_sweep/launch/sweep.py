"""From composed cells to results: validate, merge, plan, prepare, run, collect. The same for every launcher."""

import math
import shutil
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from w2s_sweep.cells.cell import Cell, Sweep
from w2s_sweep.cells.merge import merge
from w2s_sweep.cells.parse import parse
from w2s_sweep.config.dataset import AUTO
from w2s_sweep.config.plain import plain
from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.changed import tell_changed
from w2s_sweep.launch.engine import Engine, Job
from w2s_sweep.launch.needs import needs, refuse_too_large
from w2s_sweep.launch.next_steps import show_next
from w2s_sweep.launch.prepare import prepare
from w2s_sweep.launch.record import Request, default_name, own_name, record_sweep
from w2s_sweep.launch.resolve import Resolved, resolve_all
from w2s_sweep.launch.show import show_plan
from w2s_sweep.launch.slurm.commands import in_a_hurry
from w2s_sweep.launch.sweep_claim import acquire_sweep, read_sweep_claim
from w2s_sweep.modules import absolute
from w2s_sweep.plan.graph import Graph, Plan, make_plan
from w2s_sweep.plan.packs import explain_cotrain
from w2s_sweep.store import Store, read_claim
from w2s_sweep.store.claim import file_system_now
from w2s_sweep.store.files import read_json
from w2s_sweep.store.sharing import refuse_others
from w2s_sweep.terminal import SafeConsole

if TYPE_CHECKING:
    from w2s_sweep.results.records import Row


@dataclass(frozen=True)
class CellResult:
    """What became of a cell: its value (the sweep's objective, else its own test PGR; NaN without one), or why not."""

    value: float
    failure: str | None = None
    undefined: str | None = None
    """Why a finished cell has no value."""


@dataclass(frozen=True)
class Ran:
    """What a command ran, or only planned or submitted."""

    store: Store
    name: str
    """Of the sweep."""
    cells: Sequence[CellResult]
    """A result for each cell that was asked for, in order."""


def run_sweep(request: Request, engine: Engine) -> Ran:
    """Run the cells of the last batch; returns one result for each of them, in order."""
    cells, sweep = parse(request.composed)
    sweep = replace(sweep, modules=absolute(sweep.modules))
    if sweep.data_root is not None:
        from w2s_sweep.cells.root import from_root  # pyarrow is loaded only where it is needed

        cells, notes = from_root(cells, sweep.data_root)
        _print(notes)
    datasets = {d for cell in cells for d in cell.datasets()}
    if any(AUTO in (dataset.test_split, dataset.validation_split) for dataset in datasets):
        from w2s_sweep.cells.own_splits import with_own_splits

        cells, notes = with_own_splits(cells)
        _print(notes)
    ran = run_cells(cells, sweep, resolve_all(cells), request, engine)
    return replace(ran, cells=ran.cells[request.earlier :])


def _print(notes: Sequence[str]) -> None:
    for note in notes:
        SafeConsole().print(note, highlight=False, markup=False)


def run_cells(cells: Sequence[Cell], sweep: Sweep, resolved: Resolved, request: Request, engine: Engine) -> Ran:
    """Plan, prepare, run and collect validated cells; NaN for all of them where nothing was waited for."""
    graph = merge(cells, lambda source, kind: resolved[source, kind])
    store = Store(Path(sweep.store).expanduser().absolute())
    name = sweep.name or own_name(store, default_name(cells, graph.roles[: request.first or None]))
    with in_a_hurry() if sweep.plan_only else nullcontext():
        plan = plan_of(graph, store)
    console = SafeConsole()
    to_run = [graph.stages[key] for key in plan.keys("to run")]
    found = needs(to_run, engine.device, engine.counts)
    on_gpu = any(engine.device(stage) is not None for stage in to_run)
    show_plan(console, plan, name, store, found, on_gpu, sweep.threads, listed=sweep.plan_only)
    for line in [*explain_cotrain(to_run, sweep.cotrain), *tell_changed(store, resolved)]:
        console.print(line, highlight=False, markup=False)
    refuse_too_large(found)
    unknown = Ran(store, name, [CellResult(math.nan)] * len(cells))
    if sweep.plan_only:
        for line in engine.explain(store, plan):
            console.print(line, highlight=False, markup=False)
        return unknown
    refuse_others(store, name, "its record and table must not be overwritten.")
    store.prepare()
    with _alone(store, name, graph):
        if not engine.dry_run:
            record_sweep(console, store, replace(sweep, name=name), request, cells, graph, resolved)
        prepare(console, store, plan)
        job = Job(name, sweep, store, plan_of(graph, store), lambda: plan_of(graph, store))
        if not engine.run(job):
            return unknown
        return Ran(store, name, _results(console, store, name, sweep))


@contextmanager
def _alone(store: Store, name: str, graph: Graph) -> Generator[None]:
    """Keep the name of a sweep while a command runs it; LaunchError where another one runs other cells under it.

    Its results are read from the record of that name, which would be the other's by then. Two commands with the same
    cells may run: they share the record.
    """
    lease = acquire_sweep(store, name)
    if lease is None:
        stages = (read_json(store.sweep(name) / "sweep.json") or {}).get("stages", {})
        if stages.keys() != graph.stages.keys():
            owner = read_sweep_claim(store, name)
            where = "" if owner is None else f" on {owner.record['host']}, process {owner.record.get('pid')}"
            raise LaunchError(
                f"name: {name!r} is being run by another command{where}, with other cells, and a table under that name "
                "would be of one of them. Wait for it, or use name=OTHER; stages that both need are run once."
            )
        yield
        return
    with lease:
        yield


def plan_of(graph: Graph, store: Store) -> Plan:
    """What is finished, in flight, and to run, from the store as it is now."""
    claims = store.root / "claims"
    now = file_system_now(claims) if claims.is_dir() else 0.0
    finished = {key: store.is_done(key) for key in graph.stages}
    queued = _queue(store)

    def owner(key: str) -> str | None:
        claim = read_claim(store, key, now) if claims.is_dir() else None
        if claim is None or not claim.alive:
            return f"queued as job {queued[key]}" if key in queued else None
        job = claim.record.get("job")
        return f"runs on {claim.record['host']}" + (f", job {job}" if job else f", process {claim.record['pid']}")

    return make_plan(graph, finished.__getitem__, owner, lambda key: store.path(key).is_dir())


def _queue(store: Store) -> Mapping[str, str]:
    """Stage -> job that SLURM has for it; squeue is called only where something was ever submitted from this store."""
    folder = store.root / "queued"
    if not folder.is_dir() or shutil.which("squeue") is None:
        return {}
    from w2s_sweep.launch.slurm.queued import queued_jobs

    try:
        return queued_jobs(store)
    except LaunchError as error:  # a plan, or a run on this machine, does without; a submission asks for itself
        print(f"what is queued is not known, SLURM does not answer: {error}", file=sys.stderr)
        return {}


def _results(console: Console, store: Store, name: str, sweep: Sweep) -> list[CellResult]:
    from w2s_sweep.launch.conclude import conclude  # pyarrow and matplotlib are not wanted before there are results

    rows = conclude(console, store, name, plain(sweep.tracker))
    show_next(console, store, name, rows)
    return [_result(store, row, sweep.objective) for row in rows]


def _result(store: Store, row: "Row", objective: str | None) -> CellResult:
    from w2s_sweep.results.objective import validation_value

    if row.state != "done":
        return CellResult(math.nan, failure=row.note or row.state)
    value, reason = (row.ratio, row.unidentified) if objective is None else validation_value(store, row, objective)
    return CellResult(math.nan, undefined=reason) if value is None else CellResult(value)
