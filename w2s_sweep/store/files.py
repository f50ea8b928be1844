"""Writing files so that a reader sees all of one or nothing of it, whatever dies when."""

import errno
import hashlib
import json
import math
import os
import secrets
import stat
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from w2s_sweep.errors import StoreError

SPACE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
SMALL = 2**20
"""Bytes of a file that is read as a whole."""


def sha256_file(path: Path | str) -> str:
    """Hex SHA-256 of a file's content."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size < SMALL:  # as most files of a stage are: no buffer is made for them
            return hashlib.sha256(file.read()).hexdigest()
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Force a file or a folder entry to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` atomically: readers see the old content or the new, never a part."""
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """A file to write to, which takes the place of `path` when all is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    with explain_errors(path):
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def time_written(path: Path | os.DirEntry[str]) -> float:
    """When a file or a folder was changed last, in seconds; 0 for one that is no longer there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in `path`; None where there is no file or it is being replaced or damaged."""
    try:
        value: Any = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType]


def number_in(record: Mapping[str, Any], name: str) -> float | None:
    """The number that a record of a file has under a name; None where there is none, or no finite one."""
    said = record.get(name)
    with suppress(OverflowError):  # an integer that no float holds
        return float(said) if isinstance(said, int | float) and math.isfinite(said) else None
    return None


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON-lines file; a last line that was cut off by a crash is left out."""
    rows: list[dict[str, Any]] = []
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            row: Any = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict):
            break
        rows.append(row)  # pyright: ignore[reportUnknownArgumentType]
    return rows


@contextmanager
def explain_errors(path: Path) -> Generator[None]:
    """Turn a full or read-only disk into an error that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in SPACE_ERRORS:
            raise StoreError(
                f"store: no space left for {path} ({error.strerror}). Free space or quota (see `w2s gc`), "
                "then run the same command again; finished stages and checkpoints are kept."
            ) from error
        if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
            raise StoreError(
                f"store: cannot write {error.filename or path} ({error.strerror}{_say_owner(path)}). Choose a writable "
                "folder with store=FOLDER. In a store that you may only read, use `w2s report SWEEP --out FOLDER`."
            ) from error
        raise


def _say_owner(path: Path) -> str:
    """Whose folder it is, where that is somebody else, and how a store is shared that is not."""
    there = next((folder for folder in path.parents if os.access(folder, os.F_OK)), path.parent)
    with suppress(OSError, KeyError):  # a user without a name
        status = there.stat()
        share = "" if status.st_mode & stat.S_ISGID else ", who shares a store by `w2s init STORE --shared GROUP`"
        if status.st_uid != os.geteuid():
            return f"; {there} is {there.owner()}'s{share}"
    return ""


def manifest_of(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """Name -> size in bytes and SHA-256 of every file below `folder`, but the manifest itself."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json")
    return {str(p.relative_to(folder)): {"size": p.stat().st_size, "sha256": sha256_file(p)} for p in files}


def size_of(paths: Iterable[Path]) -> int:
    """Bytes of all files below the given folders."""
    return sum(f.stat().st_size for p in paths for f in ([p] if p.is_file() else p.rglob("*")) if f.is_file())
