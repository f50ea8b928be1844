"""What a machine has of what sweeps need. Each check yields lines; none changes anything."""

from collections.abc import Iterator

from w2s_sweep.launch.doctor.base import Finding
from w2s_sweep.launch.doctor.machine import check_packages, check_python, check_torch
from w2s_sweep.launch.doctor.place import check_disks, check_store
from w2s_sweep.launch.doctor.services import check_hub, check_slurm, check_wandb
from w2s_sweep.store import Store


def examine(store: Store) -> Iterator[Finding]:
    """All findings, the quick ones first."""
    yield from check_python()
    yield from check_packages()
    yield from check_disks(store)
    yield from check_store(store)
    yield from check_slurm()
    yield from check_wandb()
    yield from check_hub()
    yield from check_torch()
