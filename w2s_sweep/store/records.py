"""The records of sweeps in a store: which stages each sweep names, so that none of them is garbage."""

import hashlib
import json
import re
from collections.abc import Callable, Generator, Iterable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from w2s_sweep.errors import StoreError
from w2s_sweep.store.files import number_in, read_json, read_jsonl, time_written, write_json, write_text

LISTED = 10_000
"""Names of stages that are read until no more sweeps are looked at for stages to learn from."""
LOOKS = 4
"""So many stages of a sweep are looked for, at most, for each that is finished: of one that was cancelled few are."""
SAMPLED = 1_000
"""Finished stages that something is learned from, at most."""
REMEDY = "Run the sweep's command again, which writes it anew; finished stages are not trained again."


@dataclass(frozen=True)
class NamedStage:
    """A stage that a sweep names."""

    key: str
    kind: str
    label: str


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
        return [p.parent.name for p in sorted(found, key=time_written, reverse=True)]

    def list_stages(self, name: str, stages: Iterable[NamedStage]) -> None:
        """Write what stages a sweep has beside its record, which is a hundred times as long."""
        lines = (json.dumps(vars(one), ensure_ascii=False) for one in stages)
        write_text(self.sweep(name) / "stages.jsonl", "".join(f"{line}\n" for line in lines))

    def recent_stages(
        self, wanted: Callable[[NamedStage], bool], but: Set[str] = frozenset(), most: int = SAMPLED
    ) -> Generator[str]:
        """Keys of finished stages that sweeps name, those of the newest sweep first: so many at most, and of one sweep
        not more than a quarter of them. `but`: keys that are left out, as of a sweep that is to run, for which `LISTED`
        has room all the same.

        No folder of stages is listed, since a store may have 50,000 of them, and about `LISTED` names are read.
        """
        given: set[str] = set()
        read = 0
        for name in self.sweeps():
            listed = [one for one in self._listed(name) if one.key not in but]
            read += len(listed)
            # By their digests, which is by chance: cells name weak model, student and ceiling in turns, and every
            # second or third stage of such a list is of one role.
            found = sorted({one.key for one in listed if wanted(one)} - given)
            share = min(max(1, most // 4), most - len(given))
            for key in islice(filter(self._is_there, found[: LOOKS * share]), share):
                given.add(key)
                yield key
            if len(given) >= most or read >= LISTED:
                return

    def _is_there(self, key: str) -> bool:
        """Whether the stage was finished; not, whether it is whole."""
        return (self.root / "stages" / key).is_dir()

    def find_named(self, prefix: str) -> set[str]:
        """Keys that start with `prefix`, of the stages that sweeps name, whether these ever ran."""
        sweeps = self.sweeps()
        listed = set[str]().union(*(self._find_listed(name, prefix) for name in sweeps))
        # A list may be of another version, cut off, or older than its record: none of them hides a stage.
        return listed or set[str]().union(*(self._find_recorded(name, prefix) for name in sweeps))

    def _find_listed(self, name: str, prefix: str) -> set[str]:
        try:  # lines are searched, not parsed, which for 50,000 stages takes half a second
            text = (self.sweep(name) / "stages.jsonl").read_text()
        except (OSError, ValueError):
            return self._find_recorded(name, prefix)
        return set(re.findall(rf'"key": "({re.escape(prefix)}\w*)"', text))

    def _find_recorded(self, name: str, prefix: str) -> set[str]:
        path = self.sweep(name) / "sweep.json"
        with suppress(OSError):  # most records do not have it, and are not parsed
            if prefix.encode(errors="replace") in path.read_bytes():
                stages: Any = (read_json(path) or {}).get("stages")
                named: dict[str, Any] = stages if isinstance(stages, dict) else {}  # pyright: ignore[reportUnknownVariableType]
                return {key for key in named if key.startswith(prefix)}
        return set()

    def _listed(self, name: str) -> list[NamedStage]:
        """Nothing where the list is absent, damaged or another user's secret: what is learned from it is only time."""
        try:
            rows = read_jsonl(self.sweep(name) / "stages.jsonl")
        except OSError:
            return []
        fields = ("key", "kind", "label")
        return [NamedStage(*(str(row.get(field, "")) for field in fields)) for row in rows if is_key(row.get("key"))]

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

    def submissions(self, name: str) -> list[dict[str, Any]]:
        """What was written about all submissions of a sweep to SLURM, the oldest first."""
        records = [read_json(path) or {} for path in (self.sweep(name) / "jobs").glob("submission-*.json")]
        return sorted(records, key=lambda one: number_in(one, "submitted") or 0.0)


def is_key(word: object) -> bool:
    """Whether it may be the name of a stage's folder, and of nothing outside the store."""
    return isinstance(word, str) and re.fullmatch(r"\w+", word) is not None


def _why_unread(path: Path) -> str:
    try:
        path.read_bytes()
    except OSError as error:
        return str(error.strerror)
    return "it is empty or damaged"
