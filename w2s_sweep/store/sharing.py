"""A store that a group shares: what one member writes all can read, and nobody runs code that another can change.

The top folder says so by its mode: setgid, so that everything in it gets its group, and writable for the group. A
process that writes there gives the group its rights whatever the umask. What a member's jobs run (the copy of the
code, and the sweep's folder with its job files) can be written by that member alone. It lies in sticky folders, so
nobody else can replace it.
"""

import getpass
import grp
import os
import stat
from pathlib import Path
from typing import Any

from w2s_sweep.errors import StoreError
from w2s_sweep.store.files import explain_errors, read_json
from w2s_sweep.store.store import Store

OWN = ("code", "sweeps")
"""Folders in which every user has folders of their own."""


def init(store: Store, group: str | None) -> None:
    """Make the folders of a store, for a group where one is named; may be run again. Raises StoreError."""
    store.prepare()
    with explain_errors(store.root):
        for name in OWN + (("queued",) if group else ()):
            (store.root / name).mkdir(exist_ok=True)
        if group is None:
            return
        number = _group_id(group)
        for path in (store.root, *(p for p in store.root.iterdir() if p.is_dir())):
            try:
                os.chown(path, -1, number)
                os.chmod(path, 0o3775 if path == store.root or path.name in OWN else 0o2775)
            except PermissionError as error:
                raise StoreError(
                    f"store: {path} is not yours, or you are not in the group {group!r}, so its group cannot be set. "
                    "Its owner, as a member of the group, runs `w2s init` once."
                ) from error


def _group_id(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        pass
    if group.isdecimal():
        return int(group)
    mine = sorted(name for number in os.getgroups() if (name := _group_name(number)))
    raise StoreError(f"--shared: no group {group!r}. Groups you are in: {', '.join(mine) or 'none with a name'}.")


def _group_name(number: int) -> str | None:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return None


def own_folder(path: Path) -> Path:
    """Make a folder that only its owner can write; StoreError where it is somebody else's."""
    with explain_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        status = path.stat()
        if status.st_uid == os.getuid():
            path.chmod(stat.S_IMODE(status.st_mode) & ~0o022)
    return path


def refuse_unsafe(store: Store, path: Path) -> None:
    """StoreError where somebody else could replace `path`, from which our jobs run code, or a folder above it."""
    for folder in (path, *path.parents):
        if folder == store.root.parent:
            return
        status = folder.stat()
        by_others = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
        if folder == path and (status.st_uid != os.getuid() or status.st_mode & 0o022):
            raise StoreError(f"store: {folder} is not yours alone, and your jobs would run what is in it. Remove it.")
        if by_others and status.st_uid == os.getuid():
            folder.chmod(stat.S_IMODE(status.st_mode) | stat.S_ISVTX)
        elif by_others:
            raise StoreError(
                f"store: others can replace {path}, whose content your jobs run, since they can write {folder}. Its "
                f"owner makes it safe with `chmod g-w,o-w {folder}` or `chmod +t {folder}` (`w2s init --shared GROUP` "
                "does it for a new store)."
            )


def owner_of(record: dict[str, Any] | None) -> str | None:
    """The user who ran a sweep, if its record says so and it is somebody else."""
    user = (record or {}).get("user")
    return str(user) if user not in (None, getpass.getuser()) else None


def refuse_others(store: Store, name: str, what: str) -> None:
    """StoreError where the sweep of this name is somebody else's."""
    owner = owner_of(read_json(store.sweep(name) / "sweep.json"))
    if owner is not None:
        raise StoreError(
            f"sweep {name!r}: is {owner}'s, and you are {getpass.getuser()}; {what} Run its cells under a name of your "
            "own, name=OTHER: finished stages are shared and not trained again."
        )
