"""The W&B run of one trained stage, under an id derived from the stage's key; a mirror that may be lost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from w2s_sweep.plan.stage import digest
from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.tracking.base import TrainedStage
from w2s_sweep.tracking.naming import join_names
from w2s_sweep.tracking.wandb.session import Session, run_id


class WandbRun:
    """The run of one stage."""

    def __init__(self, session: Session, stage: TrainedStage):
        self.session, self.stage = session, stage
        self.rows = 0
        self.run: Any = None
        with session.boundary(f"starting the run of {stage.label}"):
            self.run = session.open(
                run_id("stage", stage.key),
                name=stage.label,
                job_type=stage.role,
                config=dict(stage.config),
            )
            self.run.tags = tuple(dict.fromkeys([*(self.run.tags or ()), session.sweep, *stage.tags]))

    @property
    def lost(self) -> bool:
        return self.run is None or self.session.boundary.broken

    @property
    def starting_row(self) -> int:
        """Rows the server has already; W&B counts one step a row."""
        return 0 if self.lost or self.session.mode == "offline" else int(self.run.starting_step or 0)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        if self.lost:
            return
        with self.session.boundary("logging"):
            self.run.log({"global_step": step, **metrics})
            self.rows += 1

    def finish(self, summary: Mapping[str, Any]) -> None:
        if self.lost:
            return
        with self.session.boundary("finishing a run"):
            self.run.summary.update(flat_summary(summary))
            self.run.finish()
            mode = self.session.mode
            write_json(marker(self.session, self.stage.key), fingerprint(self.rows, summary) | {"mode": mode})


def flat_summary(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and texts of a summary under flat names joined with `/`."""
    return {name: value for name, value in join_names(summary).items() if isinstance(value, bool | int | float | str)}


def fingerprint(rows: int, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What tells whether a stage was mirrored in full."""
    return {"rows": rows, "summary": digest(flat_summary(summary))}


def marker(session: Session, key: str) -> Path:
    return session.files / "mirrored" / f"{key}.json"


def is_mirrored(session: Session, key: str, rows: int, summary: Mapping[str, Any]) -> bool:
    """Whether W&B has all of this already; what was mirrored offline is sent again once there is a server."""
    found = read_json(marker(session, key))
    if found is None or (session.mode == "online" and found["mode"] != "online"):
        return False
    return {"rows": found["rows"], "summary": found["summary"]} == fingerprint(rows, summary)
