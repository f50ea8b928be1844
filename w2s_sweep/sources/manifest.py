"""Digests of fetched files, recorded when they are first seen and checked wherever they are opened.

A cache is shared for years, and whoever trains on damaged weights publishes the result under the key of sound ones. A
file of the recorded size and modification time is taken for the recorded one; any other is read and compared again.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from w2s_sweep.errors import SourceError
from w2s_sweep.sources.cache import cache_root

Entry = Mapping[str, Any]
"""size, mtime_ns and sha256 of a file."""


def check(path: Path) -> Path:
    """`path`, a fetched file or folder, whose files are what they were; SourceError naming what was damaged."""
    record = _record(path)
    known = _read(record)
    found = {name: _entry(file, known.get(name)) for name, file in _files(path).items()}
    bad = [name for name in known if name not in found or found[name]["sha256"] != known[name]["sha256"]]
    if bad:
        file = (path / bad[0] if path.is_dir() else path).resolve()
        raise SourceError(
            f"cache: {file} {'was changed' if bad[0] in found else 'went away'} after it was fetched"
            f"{f', and {len(bad) - 1} more files of {path}' if len(bad) > 1 else ''}. Remove {file} and "
            f"{path if path.is_dir() else path.parent}, and run the same command where there is internet: it is "
            "fetched again."
        )
    if found != known:
        _write(record, path, found)
    return path


def _files(path: Path) -> dict[str, Path]:
    if not path.is_dir():
        return {path.name: path}
    return {p.relative_to(path).as_posix(): p for p in sorted(path.rglob("*")) if p.is_file()}


def _entry(file: Path, known: Entry | None) -> Entry:
    status = file.stat()
    if known and (known["size"], known["mtime_ns"]) == (status.st_size, status.st_mtime_ns):
        return known
    digest = _digest(str(file), status.st_size, status.st_mtime_ns)
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": digest}


@cache
def _digest(file: str, size: int, mtime_ns: int) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _record(path: Path) -> Path:
    return cache_root() / "manifests" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:24]}.json"


def _read(record: Path) -> dict[str, Entry]:
    """What was recorded; nothing where the record is missing or damaged: it is written anew."""
    try:
        files: Any = json.loads(record.read_text())["files"]
        return {str(name): cast(Entry, entry) for name, entry in files.items() if entry["sha256"] and entry["mtime_ns"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(record: Path, path: Path, files: Mapping[str, Entry]) -> None:
    """In a cache that cannot be written, files are read and compared with nothing."""
    work = record.with_name(f"{record.name}.{secrets.token_hex(6)}")
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        work.write_text(json.dumps({"path": str(path), "files": files}, indent=1))
        work.replace(record)
    except OSError:
        work.unlink(missing_ok=True)
