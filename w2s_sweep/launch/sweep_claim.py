"""The claim on a sweep: who runs it on this machine, or is removing it."""

from w2s_sweep.store import Lease, Store, acquire, read_claim
from w2s_sweep.store.claim import Claim


def acquire_sweep(store: Store, name: str) -> Lease | None:
    """The claim, as a context manager; None where somebody else has it."""
    return acquire(store, _key(name))


def read_sweep_claim(store: Store, name: str) -> Claim | None:
    """Who has it; None where nobody has."""
    return read_claim(store, _key(name))


def _key(name: str) -> str:
    return f"sweep-{name}"
