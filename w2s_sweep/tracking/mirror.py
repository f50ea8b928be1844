"""One W&B run per unique trained stage, under an id derived from the stage's key; a mirror that may be lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_sweep.config.plain import flatten, plain
from w2s_sweep.kinds import TRAINED, Kind
from w2s_sweep.plan.stage import Stage, digest
from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.tracking.base import NullRun, Run
from w2s_sweep.tracking.session import Session, run_id


@dataclass(frozen=True)
class Identity:
    """What a stage's run is called and filed under."""

    key: str
    label: str
    role: str
    config: Mapping[str, Any]
    """Flat names -> values."""
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, stage: Stage[Kind]) -> "Identity":
        hints = stage.hints
        model = {} if hints.model is None else plain(hints.model)
        return cls(
            key=stage.key,
            label=stage.label,
            role=stage.part,
            config=run_config(stage.key, stage.kind, plain(stage.settings), model, plain(hints.dataset)),
            tags=(hints.dataset.name,),
        )


def run_config(
    key: str, kind: str, settings: Mapping[str, Any], model: Mapping[str, Any], dataset: Mapping[str, Any]
) -> dict[str, Any]:
    """The flat configuration of a stage's run; nested names are joined with `/`."""
    flat = {name.replace(".", "/"): value for name, value in flatten(settings).items()}
    names = {"model/name": model.get("name"), "model/params": model.get("params"), "dataset/name": dataset.get("name")}
    return flat | {name: value for name, value in names.items() if value is not None} | {"key": key, "kind": kind}


class WandbRun:
    """The run of one stage."""

    def __init__(self, session: Session, identity: Identity):
        self.session, self.identity = session, identity
        self.rows = 0
        self.run: Any = None
        with session.boundary(f"starting the run of {identity.label}"):
            self.run = session.open(
                run_id("stage", identity.key),
                name=identity.label,
                job_type=identity.role,
                config=dict(identity.config),
            )
            self.run.tags = tuple(dict.fromkeys([*(self.run.tags or ()), session.sweep, *identity.tags]))

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
            write_json(marker(self.session, self.identity.key), fingerprint(self.rows, summary) | {"mode": mode})


class WandbTracker:
    """Mirrors every trained stage of a sweep while it trains."""

    def __init__(self, settings: Mapping[str, Any], sweep: str, folder: Path):
        self.session = Session(settings, sweep, folder)

    def start(self, stage: Stage[Kind], folder: Path) -> Run:
        if stage.kind not in TRAINED or self.session.boundary.broken or self.session.mode == "disabled":
            return NullRun()
        return WandbRun(self.session, Identity.of(stage))


def flat_summary(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and texts of a summary under flat names joined with `/`."""
    flat = {name.replace(".", "/"): value for name, value in flatten(summary).items()}
    return {name: value for name, value in flat.items() if isinstance(value, bool | int | float | str)}


def fingerprint(rows: int, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What tells whether a stage was mirrored in full."""
    return {"rows": rows, "summary": digest(flat_summary(summary))}


def marker(session: Session, key: str) -> Path:
    return session.files / "mirrored" / f"{key}.json"


def mirrored(session: Session, key: str, rows: int, summary: Mapping[str, Any]) -> bool:
    """Whether W&B has all of this already; what was mirrored offline is sent again once there is a server."""
    found = read_json(marker(session, key))
    if found is None or (session.mode == "online" and found["mode"] != "online"):
        return False
    return {"rows": found["rows"], "summary": found["summary"]} == fingerprint(rows, summary)
