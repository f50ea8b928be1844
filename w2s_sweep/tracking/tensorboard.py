"""TensorBoard event files of a sweep: a folder for each trained stage and one for the sweep, each written in one piece.

A folder that is out of date is replaced as a whole, so that every curve is there once.
"""

import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from w2s_sweep.config.schema import schema
from w2s_sweep.plan.stage import digest
from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.tracking.base import TRACKERS, Outcome, Sent, TrackerSettings, TrainedStage
from w2s_sweep.tracking.history import Line, history
from w2s_sweep.tracking.naming import flat_numbers

STAMP = "stamp.json"


@schema
class TensorBoard(TrackerSettings):
    """Where event files go."""

    tracker: ClassVar[str] = "w2s_sweep.tracking.tensorboard:TensorBoardTracker"

    name: Literal["tensorboard"] = "tensorboard"
    folder: str | None = None
    """Folder that `tensorboard --logdir` is given; None is `tensorboard` in the sweep's folder."""


@dataclass(frozen=True)
class EventRun:
    """What one folder of event files holds."""

    folder: str
    scalars: Sequence[tuple[int, str, float]]
    """(step, name, value)"""
    texts: Mapping[str, str]
    """Name -> Markdown."""
    images: Sequence[Path] = ()
    """PNG files."""

    @property
    def stamp(self) -> str:
        """Equal for equal content."""
        images = [(path.stem, path.stat().st_size) for path in self.images]
        return digest([list(self.scalars), dict(self.texts), images])[:20]


class TensorBoardTracker:
    """Writes a sweep's event files."""

    def __init__(self, settings: TensorBoard, sweep: str, folder: Path):
        self.root = Path(settings.folder).expanduser() / sweep if settings.folder else folder / "tensorboard"

    def send(self, outcome: Outcome, force: bool = False) -> Sent:
        try:
            import_module("tensorboard")
        except ImportError:
            line = "TensorBoard: its package is missing. pip install 'w2s-sweep[tensorboard]', then `w2s push`"
            return Sent([f"{line} {outcome.sweep}"], complete=False)
        runs = [*map(stage_run, outcome.stages), summary_run(outcome)]
        written = sum(self._write(run, force) for run in runs)
        done = f"TensorBoard: {written} runs written now, {len(runs) - written} before"
        return Sent([f"{done}; tensorboard --logdir {self.root}"])

    def _write(self, run: EventRun, force: bool) -> bool:
        """Write a folder unless it is there; whether it was written."""
        target = self.root / run.folder
        if not force and (read_json(target / STAMP) or {}).get("stamp") == run.stamp:
            return False
        part = self.root / f".part-{secrets.token_hex(4)}"
        try:
            part.mkdir(parents=True)
            write_events(run, part)
            write_json(part / STAMP, {"stamp": run.stamp})
            shutil.rmtree(target, ignore_errors=True)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return True


def stage_run(stage: TrainedStage) -> EventRun:
    """The curves of a stage by optimizer step, and at its end its summary."""
    lines = history(stage)
    last = max((step for step, _ in lines), default=0)
    summary = {**flat_numbers(read_json(stage.folder / "summary.json") or {}), **stage.scores}
    partners = {f"{role}/key": key for role, key in stage.partners.items()}
    about = {**stage.config, **stage.place, **partners}
    about |= {name: value for name, value in summary.items() if isinstance(value, str)}
    return EventRun(
        folder=f"{re.sub('[^A-Za-z0-9._=+-]+', '_', stage.label)[:80]}-{stage.key[:8]}",
        scalars=[*_curve(lines), *((last, f"summary/{name}", value) for name, value in _numbers(summary))],
        texts={"config": _table(("name", "value"), sorted(about.items()))},
    )


def _curve(lines: Sequence[Line]) -> Iterator[tuple[int, str, float]]:
    for step, values in lines:
        yield from ((step, name, value) for name, value in _numbers(values))


def _numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    return ((name, float(value)) for name, value in values.items() if isinstance(value, int | float))


def summary_run(outcome: Outcome) -> EventRun:
    """Medians over the cells, table, origin and figures of a sweep."""
    texts = {
        "results": _table(outcome.heads, outcome.table),
        "provenance": _table(("name", "value"), sorted(outcome.provenance.items())),
    }
    scalars = [(0, name, value) for name, value in _numbers(outcome.numbers)]
    return EventRun("summary", scalars, texts, outcome.figures)


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [list(heads), ["---"] * len(heads), *(["" if cell is None else str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def write_events(run: EventRun, folder: Path) -> None:
    """Write the event file of a run."""
    # By name: the package is an extra, and has no types.
    events: Any = import_module("tensorboard.compat.proto.event_pb2")
    summaries: Any = import_module("tensorboard.compat.proto.summary_pb2")
    texts: Any = import_module("tensorboard.plugins.text.metadata")
    tensors: Any = import_module("tensorboard.util.tensor_util")
    writer: Any = import_module("tensorboard.summary.writer.event_file_writer").EventFileWriter(str(folder))
    now = time.time()

    def add(step: int, tag: str, **value: Any) -> None:
        shown = summaries.Summary(value=[summaries.Summary.Value(tag=tag, **value)])
        writer.add_event(events.Event(wall_time=now, step=step, summary=shown))

    for step, name, value in run.scalars:
        add(step, name, simple_value=value)
    for name, text in run.texts.items():
        tensor = tensors.make_tensor_proto([text.encode()])
        about = texts.create_summary_metadata(display_name=name, description="")
        add(0, f"{name}/text_summary", tensor=tensor, metadata=about)
    for path in run.images:
        content = path.read_bytes()
        width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))  # of PNG's first chunk
        image = summaries.Summary.Image(height=height, width=width, encoded_image_string=content)
        add(0, f"figures/{path.stem}", image=image)
    writer.close()


TRACKERS.register("tensorboard", TensorBoard)
