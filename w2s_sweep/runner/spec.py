"""What a process is asked to run: the job file of a pack, and requests from outside while it works."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from w2s_sweep.errors import W2SError
from w2s_sweep.kinds import Kind
from w2s_sweep.modules import import_possible
from w2s_sweep.plan.stage import Stage
from w2s_sweep.runner.context import RunSettings
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json

Outcome = Literal["done", "failed", "blocked", "preempted"]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Interrupts:
    """Requests from outside while the process works."""

    stop: Callable[[], bool]
    """Save and leave."""
    save: threading.Event
    """Save now and go on."""


@dataclass(frozen=True)
class Pack:
    """A spec file, read: the stages of one process and how to run them."""

    store: Store
    stages: Sequence[Stage[Kind]]
    run: RunSettings
    spec: Path | None = None
    """Where it was read."""

    @classmethod
    def read(cls, path: Path) -> "Pack":
        spec = read_json(path)
        if spec is None:
            raise W2SError(f"job file {path} is missing or unreadable; submit the sweep again.")
        Store(Path(spec["store"])).give_group_rights()
        for problem in import_possible(spec["modules"]):  # a stage that needs it fails, the others do not
            log.error("%s", problem)
        return cls(
            store=Store(Path(spec["store"])),
            stages=[Stage.from_json(stage) for stage in spec["stages"]],
            run=RunSettings(**spec["run"]),
            spec=path,
        )
