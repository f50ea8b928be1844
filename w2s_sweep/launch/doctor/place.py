"""Disk and store: room, rights, hard links, the file system's clock."""

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from w2s_sweep.amounts import show_bytes
from w2s_sweep.launch.doctor.base import Finding
from w2s_sweep.sources.cache import cache_root
from w2s_sweep.store import Store
from w2s_sweep.store.claim import NO_LINKS, file_system_now

FEW_BYTES, LITTLE_BYTES = 1e9, 20e9
"""Free space below which a sweep soon fails, and below which a large model does not fit."""
SKEW_SECONDS = 60.0
"""Difference between this machine's clock and the file system's from which times of several machines mislead."""


def check_disks(store: Store) -> Iterator[Finding]:
    for about, path in (("store disk", store.root), ("cache disk", cache_root())):
        free = shutil.disk_usage(_existing(path)).free
        said = f"{show_bytes(free)} free in {path}"
        setting = "store=FOLDER" if about == "store disk" else "W2S_CACHE=FOLDER"
        todo = f"Free some (`w2s list`, `w2s rm SWEEP`, `w2s gc`), or name another disk: {setting}."
        if free < LITTLE_BYTES:
            yield Finding("bad" if free < FEW_BYTES else "warn", about, said, todo)
        else:
            yield Finding("ok", about, said)


def _existing(path: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def check_store(store: Store) -> Iterator[Finding]:
    if store.stages.is_dir():
        yield _try_writing(store, store.root / "claims")
    elif store.root.is_dir() and any(store.root.iterdir()):
        todo = "Name the folder that sweeps were run with: --store FOLDER. A sweep run here would make it one."
        yield Finding("warn", "store", f"{store.root} has files but is no store", todo)
    else:
        yield _try_writing(store, _existing(store.root))


def _try_writing(store: Store, folder: Path) -> Finding:
    """Write a file and a hard link, as claims do, and take both away."""
    mine = folder / f".doctor-{secrets.token_hex(6)}"
    link = mine.with_name(f"{mine.name}-link")
    try:
        mine.write_bytes(b"")
        os.link(mine, link)
        return _clock(store, folder)
    except OSError as error:
        return _explain_failure(store, folder, mine.exists(), error)
    finally:
        for path in (mine, link):
            path.unlink(missing_ok=True)


def _explain_failure(store: Store, folder: Path, written: bool, error: OSError) -> Finding:
    if written and error.errno in NO_LINKS:
        todo = (
            "Two machines may now and then run one stage twice; nothing is lost. Better: a file system that has them."
        )
        return Finding("warn", "store", f"{store.root}: no hard links on this file system", todo)
    said = f"{folder} cannot be written ({error.strerror})"
    if not store.stages.is_dir():
        return Finding("bad", "store", said, "Choose another: store=FOLDER, or W2S_STORE=FOLDER for all commands.")
    todo = "You can read results (`w2s report SWEEP --out FOLDER`). To run sweeps, name a store that you can write."
    return Finding("warn", "store", said, todo)


def _clock(store: Store, folder: Path) -> Finding:
    skew = time.time() - file_system_now(folder)
    about = ", shared by a group" if store.shared else "" if store.stages.is_dir() else ", which the first sweep makes"
    said = f"{store.root}{about}: can be written, hard links work"
    if abs(skew) > SKEW_SECONDS:
        todo = "Times in logs of several machines mislead; claims do not depend on them. Have the clocks set (NTP)."
        return Finding("warn", "store", f"{said}; its clock and this machine's differ by {skew:.0f} s", todo)
    return Finding("ok", "store", said)
