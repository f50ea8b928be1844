"""What a tracker is: it takes the curves of stages while they train, and the results of a sweep once there are some.

metrics.jsonl in a stage's folder is the source of every curve; a tracker is a mirror that may be lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol

from w2s_sweep.config.schema import schema
from w2s_sweep.kinds import Kind
from w2s_sweep.plan.stage import Stage
from w2s_sweep.registry import Registry


class Run(Protocol):
    """The mirror of one stage while it runs."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Called for every row of metrics.jsonl; `step` counts finished optimizer steps."""
        ...

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Called once with what summary.json holds."""
        ...


@dataclass(frozen=True)
class TrainedStage:
    """What a trained stage is called and filed under."""

    key: str
    label: str
    role: str
    folder: Path
    """Where it writes metrics.jsonl and summary.json, or has written them."""
    config: Mapping[str, Any]
    """Flat names, joined with `/`, -> values."""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """A sweep as far as it has run, as plain data."""

    sweep: str
    stages: Sequence[TrainedStage]
    """Every finished trained stage."""
    scores: Mapping[str, Mapping[str, float]]
    """Key of a student -> pgr, acc/weak, acc/student, acc/ceiling, further metrics; medians of cells that share it."""
    numbers: Mapping[str, float]
    """The sweep's own: how many cells are done, medians over all of them."""
    heads: Sequence[str]
    table: Sequence[Sequence[Any]]
    """A row for each group of cells that differ in the seed only, under `heads`."""
    by_size: Mapping[int, Mapping[str, float]]
    """Parameters of the student -> series -> PGR."""
    figures: Sequence[Path]
    """PNG files."""
    report: Path | None


class Tracker(Protocol):
    """The mirror of a sweep in one process. Neither it nor its runs ever raise because of the service they talk to."""

    def start(self, stage: Stage[Kind], folder: Path) -> Run:
        """The run of a stage that begins; `folder` is where the stage writes its files."""
        ...

    def send(self, outcome: Outcome) -> Sequence[str]:
        """Mirror all of a sweep that the service lacks, as often as you like; returns lines that say what was done."""
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
