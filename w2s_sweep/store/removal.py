"""A sweep leaves the store with what nothing else needs: its folder, and the stages that no other sweep or job names.

Others go on working meanwhile. The sweep's folder is moved aside first, so that it names nothing any more; then each of
its stages goes only if still nothing names it, as with all garbage.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass

from w2s_sweep.store.claim import read_claim
from w2s_sweep.store.files import explain_errors, size_of
from w2s_sweep.store.garbage import delete_stages
from w2s_sweep.store.store import Store


@dataclass(frozen=True)
class Part:
    """A stage that nothing else names."""

    key: str
    label: str
    bytes: int
    finished: bool
    """Whether it is a result; else what a run that did not end left: checkpoints, logs."""


@dataclass(frozen=True)
class Removal:
    """What goes with a sweep."""

    sweep: str
    own: int
    """Bytes of its folder: record, tables, figures, report, job files."""
    parts: tuple[Part, ...]
    kept: dict[str, tuple[str, ...]]
    """Key of a stage that stays -> other sweeps that name it; none where a submitted job makes it."""

    @property
    def bytes(self) -> int:
        return self.own + sum(part.bytes for part in self.parts)


def find_removal(store: Store, name: str) -> Removal:
    """What `remove` would delete. Raises StoreError where there is no such sweep or a record cannot be read."""
    record, mine = store.read_sweep(name), store.named_keys(name)
    others = {other: store.named_keys(other) for other in store.named_sweeps() if other != name}
    needed = store.submitted_keys().union(*others.values())
    kept = {key: tuple(other for other, keys in others.items() if key in keys) for key in sorted(mine & needed)}
    parts: list[Part] = []
    for key in sorted(mine - needed):
        label = str(record["stages"].get(key, {}).get("label", "stage of an earlier command"))
        parts += [
            Part(key, label, size_of([path]), path == store.path(key))
            for path in (store.path(key), store.work(key))
            if path.is_dir()
        ]
    return Removal(name, size_of([store.sweep(name)]), tuple(parts), kept)


def remove(store: Store, found: Removal) -> int:
    """Delete a sweep as found; returns the bytes that went. What another sweep has named meanwhile stays."""
    aside = store.root / "quarantine" / f"sweep-{found.sweep}-{time.strftime('%Y%m%d-%H%M%S')}"
    with explain_errors(store.sweep(found.sweep)):
        aside.parent.mkdir(exist_ok=True)
        store.sweep(found.sweep).rename(aside)
        stages = delete_stages(store, [part.key for part in found.parts if part.finished])
        work = _delete_work(store, [part.key for part in found.parts if not part.finished])
        shutil.rmtree(aside)
    return found.own + sum(part.bytes for part in found.parts if part.key in (stages if part.finished else work))


def _delete_work(store: Store, keys: Sequence[str]) -> set[str]:
    """Delete work folders and dead claims; returns the keys of those that went."""
    if not keys:
        return set()
    named = store.referenced_keys()
    gone: set[str] = set()
    for key in keys:
        claim = read_claim(store, key)
        if key in named or (claim is not None and claim.alive):
            continue
        shutil.rmtree(store.work(key), ignore_errors=True)
        store.claim_path(key).unlink(missing_ok=True)
        gone.add(key)
    return gone
