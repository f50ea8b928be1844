"""A sweep is removed only while nothing of it runs or waits, and by the user whose it is."""

from collections.abc import Generator
from contextlib import contextmanager, nullcontext

from w2s_sweep.errors import StoreError
from w2s_sweep.launch.slurm.lock import submission_lock
from w2s_sweep.launch.status import stage_states
from w2s_sweep.launch.sweep_claim import acquire_sweep
from w2s_sweep.store import Store
from w2s_sweep.store.removal import Removal, find_removal, remove
from w2s_sweep.store.sharing import refuse_others


def plan_removal(store: Store, name: str) -> Removal:
    """What would go with a sweep. Raises StoreError where it is another user's, or something of it runs or waits."""
    found = find_removal(store, name)
    refuse_others(store, name, "only they remove it.")
    _refuse_alive(store, name)
    return found


def remove_sweep(store: Store, name: str) -> tuple[Removal, int]:
    """Remove a sweep; what went with it, and how many bytes that freed. Raises as `plan_removal`."""
    with _alone(store, name):
        found = plan_removal(store, name)
        return found, remove(store, found)


def _refuse_alive(store: Store, name: str) -> None:
    alive = [one for one in stage_states(store, name) if one.alive]
    if alive:
        first = f"{alive[0].label} is {alive[0].state}"
        more = f" and {len(alive) - 1} more" if len(alive) > 1 else ""
        raise _busy(name, f"{first}{more}")


def _busy(name: str, why: str) -> StoreError:
    todo = f"Wait for it, or stop it: Ctrl-C where it runs, `w2s cancel {name}` for its SLURM jobs."
    return StoreError(f"sweep {name!r}: {why}. {todo}")


@contextmanager
def _alone(store: Store, name: str) -> Generator[None]:
    """No command may begin to run the sweep, nor submit anything, until it is gone."""
    lease = acquire_sweep(store, name)
    if lease is None:
        raise _busy(name, "a command is running it")
    with lease, submission_lock(store) if (store.root / "queued").is_dir() else nullcontext():
        yield
