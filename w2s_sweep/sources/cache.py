"""The cache of fetched files. What appears in it appears by one rename, complete, and is never written again."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path


def cache_root() -> Path:
    """`W2S_CACHE`, else `XDG_CACHE_HOME/w2s_sweep`, else `~/.cache/w2s_sweep`."""
    if own := os.environ.get("W2S_CACHE"):
        return Path(own).expanduser().absolute()
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(shared).expanduser().absolute() / "w2s_sweep"


def offline() -> bool:
    """Whether `W2S_OFFLINE` forbids the network, as it should on compute nodes without internet."""
    return os.environ.get("W2S_OFFLINE", "0") not in {"", "0"}


@contextmanager
def publishing(final: Path) -> Generator[Path]:
    """A work folder that becomes `final` when the block ends well; of two processes the first wins."""
    work = final.parent / f".{final.name}.{secrets.token_hex(6)}"
    work.mkdir(parents=True)
    try:
        yield work
        try:
            work.rename(final)
        except OSError:
            if not final.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def recall(*about: object) -> dict[str, str] | None:
    """The note that was written about this, on any machine that shares the cache."""
    try:
        found = json.loads(_note(about).read_text())
    except (OSError, ValueError):  # none, or empty after a crash: whoever needs it writes it anew
        return None
    return found if isinstance(found, dict) else None  # pyright: ignore[reportUnknownVariableType]


def remember(content: Mapping[str, str], *about: object) -> None:
    """Write a note for later processes. A cache that cannot be written only costs them time."""
    path = _note(about)
    work = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        work.write_text(json.dumps({"about": " ".join(map(str, about)), **content}, indent=1))
        work.replace(path)
    except OSError:
        work.unlink(missing_ok=True)


def _note(about: tuple[object, ...]) -> Path:
    name = hashlib.sha256("\0".join(map(str, about)).encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return cache_root() / "notes" / f"{name}.json"
