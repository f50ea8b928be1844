"""What a disturbed sweep left behind, held against an undisturbed one: read from stores and logs alone.

A training writes "training begins after step N" and "checkpoint after step N" into the log of its stage, which is
published with the result, and into the log of its job, which stays whatever becomes of the stage.
"""

import csv
import re
from dataclasses import dataclass, field
from pathlib import Path

from w2s_sweep.results.collect import collect
from w2s_sweep.results.tables.files import as_csv
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json

STEP = re.compile(r"(training begins|checkpoint) after step (\d+)")


@dataclass
class Seen:
    """Published stages as they were when they were first seen: the manifest's inode, which no rename back restores."""

    store: Store
    inodes: dict[str, int] = field(default_factory=dict[str, int])

    def look(self) -> None:
        for key in self.store.keys():  # noqa: SIM118 - not a dict
            if key not in self.inodes and self.store.is_done(key):
                self.inodes[key] = (self.store.path(key) / "manifest.json").stat().st_ino

    def changed(self) -> list[str]:
        """Stages that were published and are now gone, damaged, or not the same files."""
        return [key for key, inode in self.inodes.items() if self._now(key) != inode]

    def _now(self, key: str) -> int | None:
        if self.store.damage(key):
            return None
        return (self.store.path(key) / "manifest.json").stat().st_ino


def predictions(store: Store) -> dict[str, bytes]:
    """Key -> predictions of every trained stage, as bytes."""
    return {path.parent.name: path.read_bytes() for path in store.stages.glob("*/predictions.parquet")}


def table(store: Store, name: str) -> list[dict[str, str]]:
    """Rows of a sweep's table.csv as it is now, but for what names the sweep, its store and its launcher."""
    rows = csv.DictReader(as_csv(collect(store, name)).splitlines())
    return [{k: v for k, v in row.items() if k not in ("overrides", "sweep")} for row in rows]


def lost(store: Store, seen: Seen, wanted: dict[str, bytes]) -> list[str]:
    """Stages without the result of the undisturbed run, or whose published result did not stay what it was."""
    got = predictions(store)
    return sorted({key for key, content in wanted.items() if got.get(key) != content} | set(seen.changed()))


@dataclass
class Trainings:
    """How the stages of a store were trained, from their logs."""

    begun: int = 0
    resumed: int = 0
    """Of these, from a checkpoint."""
    behind: list[str] = field(default_factory=list[str])
    """Trainings that began before the last checkpoint of their stage."""
    in_vain: list[str] = field(default_factory=list[str])
    """Trainings of which the published results know nothing: a stage trained beside or after them."""


def trainings(store: Store) -> Trainings:
    """Read the logs of all stages, and of all jobs where there are any."""
    found, known = Trainings(), set[str]()
    logs = [*store.stages.glob("*/log.txt"), *(store.root / "work").glob("*/log.txt")]
    for path in logs:
        saved = 0
        for line in path.read_text(errors="replace").splitlines():
            match = STEP.search(line)
            if match is None:
                continue
            step = int(match[2])
            if match[1] == "checkpoint":
                saved = step
                continue
            known.add(line)
            found.begun += 1
            found.resumed += step > 0
            if step < saved:
                found.behind.append(f"{path.parent.name}: {line} (there was a checkpoint after step {saved})")
            if store.is_done(path.parent.name) and path.parent.parent == store.root / "work":
                found.in_vain.append(f"{path.parent.name}, published before: {line}")
    for path in store.root.glob("sweeps/*/jobs/submitit/*_log.out"):
        for line in path.read_text(errors="replace").splitlines():
            if "training begins" in line and line.strip() not in known:
                found.in_vain.append(f"{path.name}: {line.strip()}")
    return found


def missing(store: Store, names: list[str]) -> list[str]:
    """Stages of these sweeps that are not published; everything where a sweep is not even written down."""
    records = [read_json(store.sweep(name) / "sweep.json") for name in names]
    if None in records:
        return ["everything"]
    return [key for record in records if record for key in record["stages"] if not store.is_done(key)]


def log_tails(store: Store) -> str:
    """The ends of the logs of what is not finished, for a person who wants to know why."""
    paths: list[Path] = [*(store.root / "work").glob("*/log.txt")]
    return "\n".join(f"{p}:\n{p.read_text(errors='replace')[-1500:]}" for p in paths)
