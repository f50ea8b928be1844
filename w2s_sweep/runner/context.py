"""What a running stage has: its inputs (verified), its output folder, checkpoint, progress, stop."""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

from w2s_sweep.errors import Preempted
from w2s_sweep.kinds.base import InputName
from w2s_sweep.plan.stage import K, Stage
from w2s_sweep.store import Store, read_jsonl
from w2s_sweep.store.files import number_in, read_json, write_json, write_text

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 1.0
CHECKPOINT_SHARE = 0.03
"""Most of the time that checkpoints take."""
CHEAP_SECONDS = 1.0
"""A checkpoint that takes no longer is written as often as was asked for."""
ALL_RUNS = "seconds of all runs"
"""In the summary of a stage that continued from a checkpoint, beside `seconds`, which are of its last run."""
AT_ONCE = "students at once"
"""In the summary of a stage that trained beside others: how many, at first."""
LOGGED_ROWS = 100
"""A curve has about so many rows in metrics.jsonl, evenly spaced, however many steps there are."""


def seconds_of(summary: Mapping[str, Any]) -> float | None:
    """What a finished stage took, the earlier runs that it continued from included; None where it does not say."""
    return number_in(summary, ALL_RUNS if ALL_RUNS in summary else "seconds")


def seconds_alone(summary: Mapping[str, Any]) -> float | None:
    """As `seconds_of`, of a stage from which others can learn how long they take; None too of one that trained beside
    others, whose seconds are a share of what it may take alone."""
    return None if AT_ONCE in summary else seconds_of(summary)


def seconds_so_far(progress: Mapping[str, Any]) -> float:
    """Of the steps that progress.json tells, the earlier runs that this one continues from included."""
    return float(progress.get("seconds", 0.0)) + float(progress.get("earlier", 0.0))


@dataclass(frozen=True)
class RunSettings:
    """How stages run on this machine; nothing of it may change a result."""

    threads: int = 0
    micro_batch_tokens: int | None = None
    """Tokens of a forward pass; None is the device's own number."""
    checkpoint_seconds: float = 60.0
    keep_weights: bool = False
    deterministic: bool = False
    """Whether a GPU gives the same bits each time."""
    test_evaluations: int = 0
    """How often a trained stage predicts test rows on its way."""
    cotrain: int = 1
    """Stages that train on one frozen base at the same time, at most."""


@dataclass
class Beside:
    """The stages that a process runs at the same time as one, and what they took of it."""

    students: int = 1
    """At first, this one included."""
    seconds: float = 0.0
    """That went to the others."""


@dataclass
class Context(Generic[K]):
    """One run of one stage."""

    store: Store
    stage: Stage[K]
    out: Path
    run: RunSettings
    stop: Callable[[], bool]
    save: threading.Event
    beside: Beside = field(default_factory=Beside)
    halved: int = 0
    """How often passes were halved, since they did not fit on one of several devices."""
    started: float = field(default_factory=time.monotonic)
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    """How the stage was run, for its summary."""
    describe: Callable[[], Mapping[str, float]] = dict[str, float]
    """Numbers that are known at its end alone, and of which several processes have one each: the most memory held."""
    _rows: list[str] = field(default_factory=list[str])
    _saved: float = field(default_factory=time.monotonic)
    _cost: float = 0.0
    """Seconds that the last checkpoint took."""
    _told: float = 0.0
    _earlier: float = 0.0
    """Seconds of the earlier runs that this one continues from."""
    _continues: bool = False

    @property
    def settings(self) -> K:
        """What determines the result of the stage."""
        return self.stage.settings

    @property
    def work(self) -> Path:
        """Folder that survives a kill of this run."""
        return self.store.work(self.stage.key)

    @property
    def checkpoint(self) -> Path:
        return self.work / "checkpoint.safetensors"

    def input(self, name: InputName) -> Path:
        """Folder of a finished input, every digest checked."""
        return self.store.verify(self.stage.inputs[name])

    def optional(self, name: InputName) -> Path | None:
        """As `input`; None where the stage has no such input."""
        return self.input(name) if name in self.stage.inputs else None

    def members(self) -> list[Path]:
        """Folders of the inputs of a stage that reads any number of equals, in their order."""
        return [self.store.verify(key) for key in self.stage.inputs.values()]

    def seconds(self) -> float:
        """What the stage has taken so far; of work for several stages its share."""
        return time.monotonic() - self.started - self.beside.seconds

    def checkpoint_due(self) -> bool:
        """Whether the last checkpoint is old enough for another one, or one was requested.

        Old enough is `checkpoint_seconds`, and longer where large ones would take more than `CHECKPOINT_SHARE` of the
        time.
        """
        now = time.monotonic()
        rest = self._cost / CHECKPOINT_SHARE if self._cost > CHEAP_SECONDS else 0.0
        if now - self._saved < max(self.run.checkpoint_seconds, rest) and not self.save.is_set():
            return False
        self._saved = now
        self.save.clear()
        return True

    def on_resume(self, step: int) -> None:
        """Keep the rows of metrics.jsonl up to `step`, the state that training continues from."""
        log.info("training begins after step %d", step)
        if step:
            self.on_continue()
        kept = [row for row in read_jsonl(self.work / "metrics.jsonl") if row["step"] <= step]
        self._rows = [json.dumps(row) for row in kept]
        write_text(self.work / "metrics.jsonl", "".join(f"{row}\n" for row in self._rows))

    def on_continue(self) -> None:
        """Called where the stage takes up what an earlier run has kept, before its first progress: the time of the
        earlier runs counts. Their last word is progress.json, which this run will replace; so only the first call
        reads it, and none does once this run has written there."""
        if not self._continues and not self._told:
            self._continues = True
            self._earlier = seconds_so_far(read_json(self.work / "progress.json") or {})

    def on_save(self, step: int) -> None:
        """Called after each checkpoint, which began when it was found to be due."""
        self._cost = time.monotonic() - self._saved
        log.info("checkpoint after step %d", step)

    def report(self, step: int, steps: int, loss: float, lr: float) -> None:
        """Called after each optimizer step."""
        if step == 1 or step % max(1, steps // LOGGED_ROWS) == 0 or step == steps:
            self.log(step, steps, {"loss": loss, "lr": lr})
        self.progress(step, steps)

    def on_evaluation(self, step: int, steps: int, score: float) -> None:
        """Called after each evaluation of early stopping."""
        self.log(step, steps, {"validation": score})

    def log(self, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        """Write a row of metrics.jsonl."""
        self._rows.append(json.dumps({"step": step, "total": steps, **metrics}))
        with (self.work / "metrics.jsonl").open("a") as file:
            file.write(self._rows[-1] + "\n")

    def progress(self, step: int, steps: int) -> None:
        """Write how far the stage is; readers poll the file."""
        now = time.monotonic()
        if now - self._told >= PROGRESS_SECONDS or step == steps:
            self._told = now
            seconds = round(self.seconds(), 1)
            record = {"step": step, "total": steps, "seconds": seconds, "earlier": round(self._earlier, 1)}
            write_json(self.work / "progress.json", record)

    def progress_or_stop(self, step: int, steps: int) -> None:
        """For work without checkpoints: write how far it is, or leave at once when requested."""
        self.progress(step, steps)
        if self.stop():
            raise Preempted

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the curves and the summary into the result."""
        if self._rows:
            write_text(self.out / "metrics.jsonl", "".join(f"{row}\n" for row in self._rows))
        seconds = self.seconds()
        record = (
            dict(summary)
            | self.facts
            | ({AT_ONCE: self.beside.students} if self.beside.students > 1 else {})
            | dict(self.describe())
            | {"seconds": round(seconds, 3), "label": self.stage.label}
            | ({ALL_RUNS: round(self._earlier + seconds, 3)} if self._earlier else {})
        )
        write_json(self.out / "summary.json", record)
        write_json(self.out / "preimage.json", self.stage.preimage)
