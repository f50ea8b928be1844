"""Files of this machine, named by the digest of their content: moving or touching them changes no key."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from w2s_sweep.config.source import LocalSource
from w2s_sweep.errors import SourceError, nearest_first
from w2s_sweep.sources.cache import recall, remember

LARGE = 16 << 20
"""Bytes from which the digest of a file is noted in the cache."""


def identify(source: LocalSource) -> dict[str, Any]:
    """The SHA-256 of a file, or of a folder's relative names and contents without hidden files."""
    path = existing(source)
    return {"kind": "local", "sha256": file_digest(path) if path.is_file() else _folder_digest(path)}


def fetch(source: LocalSource, identity: Mapping[str, Any]) -> Path:
    """The path itself; SourceError if it changed since `identity` was taken."""
    now = identify(source)["sha256"]
    if now != identity["sha256"]:
        raise SourceError(
            f"source.path: {source.path} changed since the sweep was planned (sha256 {now[:12]}... instead of "
            f"{str(identity['sha256'])[:12]}...). Submit the sweep again, or restore the files."
        )
    return existing(source)


def existing(source: LocalSource) -> Path:
    """The absolute path; SourceError naming what is there instead if it does not exist."""
    path = Path(source.path).expanduser().absolute()
    if path.exists():
        return path
    parent = next(p for p in path.parents if p.exists())
    wanted = path.relative_to(parent).parts[0]
    there = [p.name for p in parent.iterdir()] if parent.is_dir() else []
    names = nearest_first(wanted, (name for name in there if wanted.startswith(".") or not name.startswith(".")))
    raise SourceError(
        f"source.path: {path} does not exist. {parent} holds: {', '.join(names[:10]) or 'nothing'}. "
        "Give the path of a file or a folder that this machine and the compute nodes can read."
    )


def _folder_digest(folder: Path) -> str:
    total = hashlib.sha256()
    count = 0
    for path in sorted(_visible_files(folder), key=lambda p: p.relative_to(folder).as_posix()):
        total.update(f"{path.relative_to(folder).as_posix()}\0{file_digest(path)}\n".encode("utf-8", "surrogateescape"))
        count += 1
    if count == 0:
        raise SourceError(f"source.path: the folder {folder} holds no files. Give a folder with a model or a dataset.")
    return total.hexdigest()


def _visible_files(folder: Path) -> Iterator[Path]:
    visited: set[str] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        folders[:] = [] if real in visited else [name for name in folders if not name.startswith(".")]
        if real not in visited:
            yield from (Path(root, name) for name in files if not name.startswith("."))
        visited.add(real)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file; SourceError where it cannot be read."""
    try:
        status = path.stat()
        return _digest_once(str(path), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise SourceError(f"source.path: cannot read {path}: {error.strerror}. Check the permissions.") from error


@cache
def _digest_once(path: str, size: int, mtime_ns: int) -> str:
    """SHA-256 of a file, read again only when its size or modification time changed."""
    about = ("sha256", path, size, mtime_ns)
    if size >= LARGE and (note := recall(*about)):
        return note["sha256"]
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if size >= LARGE:
        remember({"sha256": digest}, *about)
    return digest
