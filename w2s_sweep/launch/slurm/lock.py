"""One submission or cancellation at a time in a store, so that two sweeps share what they have in common."""

import time
from collections.abc import Generator
from contextlib import contextmanager

from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.slurm.queued import records, tasks_of
from w2s_sweep.store import Store, hold

NAME = "submission"
"""Name of the claim; a dead holder's claim is taken over."""
PATIENCE_SECONDS = 600.0
SETTLING_SECONDS = 60.0
"""How long a submission waits for jobs that are just ending; clusters kill what does not end sooner (KillWait)."""


@contextmanager
def submission_lock(store: Store) -> Generator[None]:
    """Hold the store's submission lock; LaunchError when somebody else has it for too long."""
    busy = LaunchError(f"another submission to {store.root} has not ended for {PATIENCE_SECONDS:.0f} s.")
    with hold(store, NAME, PATIENCE_SECONDS, busy):
        yield


def settle(store: Store) -> None:
    """Wait while jobs are being ended: only then is it known whether they are gone or queued again."""
    # A task that is requeued is COMPLETING for a moment too. Planned as lost then, its stages would be queued twice.
    deadline = time.monotonic() + SETTLING_SECONDS
    while any(task.leaving for task in tasks_of(records(store)).values()) and time.monotonic() < deadline:
        time.sleep(0.5)
