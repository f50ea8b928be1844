"""Go on with, or stop, a sweep that was submitted earlier, from what the store knows of it."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from w2s_sweep.cells.cell import Cell, Sweep
from w2s_sweep.config.plain import from_plain
from w2s_sweep.config.source import Source
from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.engine import Engine
from w2s_sweep.launch.record import Request
from w2s_sweep.launch.sweep import CellResult, run_cells
from w2s_sweep.launch.sweep_claim import read_sweep_claim
from w2s_sweep.modules import import_all, read_recorded
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.store.sharing import owner_of, refuse_others


def retry(store: Store, name: str, wait: bool) -> Sequence[CellResult]:
    """Submit what is missing of a sweep: failed and lost stages and what needs them; nothing done or in flight."""
    return _run(store, name, lambda: _engine(store, name, wait))


def keep(store: Store, name: str, once: bool) -> Sequence[CellResult]:
    """Go on with a sweep on SLURM until it has ended: submit what an earlier wave had no room for and what was lost.

    What failed stays. `once`: submit what there is room for now, and return. It may be killed and begun again at any
    time.
    """
    from w2s_sweep.launch.slurm.engine import SlurmEngine
    from w2s_sweep.launch.slurm.queued import cancelled_mark

    if cancelled_mark(store, name).is_file():
        raise LaunchError(f"sweep {name}: it was cancelled. `w2s retry {name}` submits it again.")
    engine = _engine(store, name, wait=not once)
    if not isinstance(engine, SlurmEngine):
        raise LaunchError(f"sweep {name}: it runs on this machine. `w2s retry {name}` goes on with it.")
    engine.again = True
    return _run(store, name, lambda: engine)


def _run(store: Store, name: str, engine: Callable[[], Engine]) -> Sequence[CellResult]:
    record = store.read_sweep(name)
    # Its settings hold shell lines and modules of theirs, which would run as ours.
    refuse_others(store, name, "its jobs would run their set-up lines and modules as you.")
    import_all(read_recorded(store, name))
    cells = [from_plain(Cell, entry["cell"]) for entry in record["cells"]]
    sweep = replace(from_plain(Sweep, record["settings"]), store=str(store.root), name=name, plan_only=False)
    resolved = {(from_plain(Source, one["source"]), one["kind"]): one["identity"] for one in record["sources"]}
    request = Request(record["command"], overrides=[entry["overrides"] for entry in record["cells"]])
    return run_cells(cells, sweep, resolved, request, engine()).cells


def _engine(store: Store, name: str, wait: bool) -> Engine:
    launcher = read_json(store.sweep(name) / "launcher.json")
    if launcher is None:
        from w2s_sweep.launch.local import LocalEngine

        return LocalEngine()
    from w2s_sweep.launch.slurm.engine import SlurmEngine

    return SlurmEngine(launcher["settings"], wait=wait, pack_flops=launcher["pack_flops"])


@dataclass(frozen=True)
class Cancelled:
    """What a cancellation did."""

    jobs: int
    """Jobs that were cancelled."""
    kept: int
    """Jobs that go on because other sweeps need them."""
    needed_by: tuple[str, ...]
    """Those sweeps."""
    process: int | None = None
    """Process on this machine that was told to save and leave, where the sweep runs here and not in jobs."""


def cancel(store: Store, name: str) -> Cancelled:
    """Cancel the queued and running jobs that this sweep needs and no other sweep that has not been cancelled does; or
    tell the command that runs it on this machine to save and leave."""
    from w2s_sweep.launch.slurm import commands
    from w2s_sweep.launch.slurm.lock import submission_lock
    from w2s_sweep.launch.slurm.queued import cancelled_mark, queued_jobs

    sweep = store.read_sweep(name)
    mine = set(sweep["stages"])
    if (owner := owner_of(sweep)) is not None:
        raise LaunchError(f"sweep {name}: it is {owner}'s, who alone can cancel its jobs.")
    if (process := _stop_here(store, name)) is not None:
        return Cancelled(0, 0, (), process)
    with submission_lock(store):
        alive = queued_jobs(store)
        if mine.isdisjoint(alive):
            raise LaunchError(
                f"sweep {name}: none of its stages is queued or running, in SLURM or on this machine. "
                f"`w2s status {name}` shows it."
            )
        others = {n for n in store.sweeps() if n != name and not cancelled_mark(store, n).is_file()}
        needs = {n: set(store.read_sweep(n)["stages"]) & alive.keys() for n in others}
        wanted = {alive[key] for keys in needs.values() for key in keys}
        jobs = {alive[key] for key in mine & alive.keys()}
        commands.cancel(sorted(jobs - wanted))
        # Only now: marked before, a sweep whose jobs scancel refused to end would count as one that needs nothing.
        record = {"time": time.strftime("%Y-%m-%d %H:%M:%S"), "jobs": sorted(jobs - wanted)}
        write_json(cancelled_mark(store, name), record)
    needed_by = sorted(n for n, keys in needs.items() if not keys.isdisjoint(mine))
    return Cancelled(len(jobs - wanted), len(jobs & wanted), tuple(needed_by))


def _stop_here(store: Store, name: str) -> int | None:
    """The command that runs a sweep with processes of its own, told to end as by Ctrl-C; None where there is none."""
    claim = read_sweep_claim(store, name)
    if claim is None or not claim.alive or (store.sweep(name) / "launcher.json").is_file():
        return None
    process = int(claim.record["pid"])
    if not claim.seen:
        raise LaunchError(f"sweep {name}: it runs on {claim.record['host']}, process {process}. Type this there.")
    try:
        os.kill(process, signal.SIGTERM)
    except PermissionError as error:
        raise LaunchError(f"sweep {name}: process {process} is another user's, who has to stop it.") from error
    return process
