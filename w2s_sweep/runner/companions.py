"""Which stages a process trains at the same time, told in the work folder of each. A process that dies, or loses its
GPU, leaves that there, since nobody can tell which of them was to blame: each is then tried again alone."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from w2s_sweep.errors import W2SError
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json

log = logging.getLogger(__name__)


def tell_companions(store: Store, keys: Collection[str]) -> None:
    """From now on these stages train at the same time. What is written here is news of each of them, too."""
    for key in keys:
        _tell(store, key, {"keys": sorted(keys)})


def forget_companions(store: Store, key: str) -> None:
    """The stage has come to an end, whichever, beside the others."""
    _path(store, key).unlink(missing_ok=True)


def companions_of(store: Store, key: str) -> Sequence[str]:
    """The stages that train at the same time as a running one, which is among them; none of one that runs alone."""
    keys = _told(store, key).get("keys", ())
    return keys if len(keys) > 1 else ()


def has_to_run_alone(store: Store, key: str) -> bool:
    """Of a stage that does not run: whether a process ended, by no request, while it was running beside others."""
    return bool(companions_of(store, key)) or "alone" in _told(store, key)


def tell_alone(store: Store, key: str) -> None:
    """From now on the stage runs alone, as all its tries to come where it has to."""
    if has_to_run_alone(store, key):
        _tell(store, key, {"keys": [key], "alone": True})


def _tell(store: Store, key: str, words: Mapping[str, Any]) -> None:
    try:
        write_json(_path(store, key), words)
    except (OSError, W2SError) as error:  # a full disk, say: the stage itself finds that out
        log.warning("cotrain: %s: its companions could not be told: %s", key, error)


def _told(store: Store, key: str) -> Mapping[str, Any]:
    return read_json(_path(store, key)) or {}


def _path(store: Store, key: str) -> Path:
    return store.work(key) / "companions.json"
