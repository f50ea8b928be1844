"""What a tracker is: it mirrors a sweep's files when its stages have run; stages themselves know of no tracker.

metrics.jsonl and summary.json in a stage's folder are the source of everything; a tracker is a mirror that may be lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol

from w2s_sweep.config.schema import schema
from w2s_sweep.registry import Registry


@dataclass(frozen=True)
class TrainedStage:
    """A finished stage that trained something: what it is called, filed under, and what came of it."""

    key: str
    label: str
    role: str
    folder: Path
    """Of the finished stage: metrics.jsonl and summary.json."""
    config: Mapping[str, Any]
    """Flat names, joined with `/`, -> values; the same whichever sweep uses the stage."""
    place: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What it is in this sweep, such as the cells that use it; flat names -> values."""
    curve: Sequence[tuple[int, Mapping[str, float]]] = ()
    """Of a student: (optimizer step, name -> value) of what it was worth beside its supervisor and ceiling; none before
    one of its cells is done. What was known once stays as it is, and more only follows it."""
    scores: Mapping[str, float | str] = field(default_factory=dict[str, float | str])
    """Of a student: pgr, acc/weak, acc/student, acc/ceiling, gaps with intervals, or why there is no PGR."""
    partners: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of a student: role -> key of its supervisor and ceiling."""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """A sweep as far as it has run, as plain data."""

    sweep: str
    stages: Sequence[TrainedStage]
    """Every finished trained stage."""
    numbers: Mapping[str, float]
    """The sweep's own: how many cells are done and failed, medians over all of them."""
    provenance: Mapping[str, str]
    """Where it comes from: command, commit, versions, store."""
    heads: Sequence[str]
    table: Sequence[Sequence[Any]]
    """A row for each group of cells that differ in the seed only, under `heads`."""
    figures: Sequence[Path]
    """PNG files."""
    report: Path | None


@dataclass(frozen=True)
class Sent:
    """What became of a mirror."""

    lines: Sequence[str] = ()
    """What to tell the user."""
    complete: bool = True
    """Whether all that is finished is known to have arrived."""


class Tracker(Protocol):
    """The mirror of a sweep. It never raises because of the service that it talks to."""

    def send(self, outcome: Outcome, force: bool = False) -> Sent:
        """Mirror all of a sweep that the service lacks, as often as you like.

        `force`: believe no note of what was sent before, and look at what is there.
        """
        ...


@schema
class TrackerSettings:
    """Base of the settings of trackers, which make them: the config group `tracker`."""

    tracker: ClassVar[str] = ""
    """`module:Class` of the tracker, which is made of the settings, the sweep and its folder. By name, since it is
    loaded only where something is mirrored."""

    name: str
    """Which tracker; a subclass narrows it to one word."""

    def open(self, sweep: str, folder: Path) -> Tracker:
        """The tracker of a sweep; `folder` is the sweep's."""
        module, _, name = self.tracker.partition(":")
        return getattr(import_module(module), name)(self, sweep, folder)


TRACKERS: Registry[type[TrackerSettings]] = Registry("tracker")
