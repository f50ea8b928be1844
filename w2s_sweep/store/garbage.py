"""What may be deleted: never a finished stage that a sweep or a submitted job names, nor work whose owner is alive.

Measuring takes minutes in a large store, in which others go on working: each thing is looked at again before it goes,
and a finished stage is first moved aside, looked up again, and put back where a sweep has named it meanwhile. A sweep
is recorded before its plan is made, so one that comes later finds the stage gone and makes it again.
"""

import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from w2s_sweep.store.claim import read_claim
from w2s_sweep.store.files import explain_errors, size_of
from w2s_sweep.store.store import Store

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
    if not delete:
        return found
    left = {path for path, _ in _candidates(store, days, unreferenced)}
    found = [item for item in found if item.path in left]
    keys = [item.path.name for item in found if item.path.parent == store.stages]
    gone = {store.path(key) for key in delete_stages(store, keys)}
    return [item for item in found if (item.path in gone if item.path.parent == store.stages else _delete(item.path))]


def _delete(path: Path) -> bool:
    """Delete what is no stage; whether it went."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return not path.exists()


def delete_stages(store: Store, keys: Iterable[str]) -> set[str]:
    """Delete the folders of finished stages, but those that something names; returns the keys of those that went."""
    aside = {key: folder for key in keys if (folder := _move_aside(store, key)) is not None}
    if not aside:
        return set()  # reading what all sweeps name takes long
    named = set(aside)
    try:
        named &= store.referenced_keys()
    finally:
        for key in named:
            with suppress(OSError):  # made again meanwhile
                aside[key].rename(store.path(key))
    for key in aside.keys() - named:
        shutil.rmtree(aside[key], ignore_errors=True)
    return aside.keys() - named


def _move_aside(store: Store, key: str) -> Path | None:
    """Where the folder of a stage is now; None where there is none."""
    aside = store.root / "quarantine" / f"{key}-unreferenced-{secrets.token_hex(2)}"
    with explain_errors(store.path(key)):
        aside.parent.mkdir(exist_ok=True)
        try:
            return store.path(key).rename(aside)
        except FileNotFoundError:
            return None


def _candidates(store: Store, days: float, unreferenced: bool) -> Iterator[tuple[Path, str]]:
    submitted = store.submitted_keys()
    for path in _folders(store.root / "work"):
        claim = read_claim(store, path.name)
        if claim is not None and claim.alive:
            continue
        if store.is_done(path.name):
            yield path, "work of a stage that is finished"
        elif path.name not in submitted and time.time() - path.stat().st_mtime > days * DAY_SECONDS:
            yield path, f"unfinished, untouched for {days:g} days"
    for path in _files(store.root / "claims"):
        claim = read_claim(store, path.name)
        if claim is None or claim.alive:
            continue
        if not claim.known:
            if claim.age > DAY_SECONDS:
                yield path, "claim that was never written to its end"
        else:
            yield path, "claim of a process that died"
    for path in _folders(store.root / "quarantine"):
        yield path, "damaged"
    if unreferenced:
        named = store.referenced_keys()
        for key in store.keys():  # noqa: SIM118 - not a dict
            if key not in named and time.time() - store.path(key).stat().st_mtime > days * DAY_SECONDS:
                yield store.path(key), "no sweep in this store names it"


def _folders(parent: Path) -> list[Path]:
    return sorted(p for p in parent.iterdir() if p.is_dir()) if parent.is_dir() else []


def _files(parent: Path) -> list[Path]:
    return sorted(p for p in parent.iterdir() if p.is_file()) if parent.is_dir() else []
