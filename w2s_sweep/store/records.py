"""The records of sweeps in a store: which stages each sweep names, so that none of them is garbage."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_sweep.errors import StoreError
from w2s_sweep.store.files import read_json, write_json

REMEDY = "Run the sweep's command again, which writes it anew; finished stages are not trained again."


@dataclass(frozen=True)
class Records:
    """What a store knows of the sweeps that ran in it."""

    root: Path

    def sweep(self, name: str) -> Path:
        return self.root / "sweeps" / name

    def keep_earlier(self, name: str, record: Mapping[str, Any]) -> Path:
        """Set the record of a sweep aside whose name another command takes; its stages stay referenced."""
        keys = " ".join(sorted(record["stages"]))
        path = self.sweep(name) / "earlier" / f"{hashlib.sha256(keys.encode()).hexdigest()[:12]}.json"
        write_json(path, record)
        return path

    def referenced_keys(self) -> set[str]:
        """Keys of all stages that a sweep of this store names, or named before, and those that submitted jobs make.

        Raises StoreError where a sweep's record cannot be read: what it names is not known then.
        """
        return self.submitted_keys().union(*(self.named_keys(name) for name in self.named_sweeps()))

    def named_keys(self, name: str) -> set[str]:
        """Keys of the stages that a sweep names, or named before. Raises StoreError where its record cannot be read."""
        now = set(self.read_sweep(name)["stages"]) if (self.sweep(name) / "sweep.json").exists() else set[str]()
        earlier = (read_json(path) or {} for path in (self.sweep(name) / "earlier").glob("*.json"))
        return now | {key for record in earlier for key in record.get("stages", ())}

    def named_sweeps(self) -> list[str]:
        """Names of all sweeps, also of those that are known by an earlier record alone."""
        found = [*(self.root / "sweeps").glob("*/sweep.json"), *(self.root / "sweeps").glob("*/earlier/*.json")]
        return sorted({path.relative_to(self.root / "sweeps").parts[0] for path in found})

    def submitted_keys(self) -> set[str]:
        """Keys of the stages that jobs were submitted for which may still be in the cluster's queue."""
        found = (read_json(path) or {} for path in (self.root / "queued").glob("*.json"))
        return {key for record in found for task in record.get("tasks", ()) for key in task.get("stages", ())}

    def sweeps(self) -> list[str]:
        """Names of the sweeps, the newest first."""
        found = (self.root / "sweeps").glob("*/sweep.json")
        return [p.parent.name for p in sorted(found, key=lambda p: p.stat().st_mtime, reverse=True)]

    def read_sweep(self, name: str) -> dict[str, Any]:
        """The record of a sweep: its cells, roles and stages."""
        path = self.sweep(name) / "sweep.json"
        record = read_json(path)
        if record is None:
            if path.exists():
                raise StoreError(f"sweep {name!r}: {path} cannot be read ({_why_unread(path)}). {REMEDY}")
            known = ", ".join(self.sweeps()[:10]) or "none"
            raise StoreError(f"sweep {name!r}: not in {self.root}. Sweeps there, newest first: {known}.")
        if not isinstance(record.get("stages"), dict):
            raise StoreError(f"sweep {name!r}: {path} is damaged, it names no stages. {REMEDY}")
        return record


def _why_unread(path: Path) -> str:
    try:
        path.read_bytes()
    except OSError as error:
        return str(error.strerror)
    return "it is empty or damaged"
