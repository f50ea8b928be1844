"""What may be deleted: it is never a finished stage that a sweep names, nor work whose owner is alive."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from w2s_sweep.store.claim import read_claim
from w2s_sweep.store.store import Store, size_of

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Garbage:
    """A folder or file that no run needs."""

    path: Path
    why: str
    megabytes: float


def collect_garbage(store: Store, *, days: float, unreferenced: bool, delete: bool) -> list[Garbage]:
    """Find what can go; `delete` removes it."""
    found = [Garbage(path, why, size_of([path]) / 1e6) for path, why in _candidates(store, days, unreferenced)]
    if delete:
        for item in found:
            if item.path.is_dir():
                shutil.rmtree(item.path, ignore_errors=True)
            else:
                item.path.unlink(missing_ok=True)
    return found


def _candidates(store: Store, days: float, unreferenced: bool) -> Iterator[tuple[Path, str]]:
    for path in _folders(store.root / "work"):
        claim = read_claim(store, path.name)
        if claim is not None and claim.alive:
            continue
        if store.done(path.name):
            yield path, "work of a stage that is finished"
        elif time.time() - path.stat().st_mtime > days * DAY_SECONDS:
            yield path, f"unfinished, untouched for {days:g} days"
    for path in _files(store.root / "claims"):
        claim = read_claim(store, path.name)
        if claim is not None and not claim.alive:
            yield path, "claim of a process that died"
        elif claim is None and path.name.startswith(".") and time.time() - path.stat().st_mtime > DAY_SECONDS:
            yield path, "claim that was never written to its end"
    for path in _folders(store.root / "quarantine"):
        yield path, "damaged"
    if unreferenced:
        named = store.referenced_keys()
        for key in store.keys():  # noqa: SIM118 - not a dict
            if key not in named:
                yield store.path(key), "no sweep in this store names it"


def _folders(parent: Path) -> list[Path]:
    return sorted(p for p in parent.iterdir() if p.is_dir()) if parent.is_dir() else []


def _files(parent: Path) -> list[Path]:
    return sorted(p for p in parent.iterdir() if p.is_file()) if parent.is_dir() else []
