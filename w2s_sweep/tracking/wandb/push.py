"""Mirrors a sweep to W&B: each stage while it trains, and from files later, as often as you like.

Only what W&B lacks is sent. Curves come from metrics.jsonl.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_sweep.kinds import TRAINED, Kind
from w2s_sweep.plan.stage import Stage, digest
from w2s_sweep.store import read_jsonl
from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.tracking.base import Outcome, Run, TrainedStage
from w2s_sweep.tracking.naming import describe
from w2s_sweep.tracking.null import NullRun
from w2s_sweep.tracking.wandb.runs import WandbRun, flat_summary, is_mirrored, marker
from w2s_sweep.tracking.wandb.session import Session, run_id
from w2s_sweep.tracking.wandb.settings import Wandb

NOT_LOGGED = frozenset({"step", "total"})


@dataclass(frozen=True)
class Pushed:
    """What a push did."""

    sent: int
    """Stages that were sent now."""
    present: int
    """Stages that W&B had already."""
    complete: bool
    """Whether everything that is finished is mirrored."""
    mode: str
    """online, offline or disabled."""


class WandbTracker:
    """Mirrors every trained stage of a sweep while it trains, and its results. Never raises because of W&B."""

    def __init__(self, settings: Wandb, sweep: str, folder: Path):
        self.session = Session(settings, sweep, folder)

    def start(self, stage: Stage[Kind], folder: Path) -> Run:
        if stage.kind not in TRAINED or self.session.boundary.broken or self.session.mode == "disabled":
            return NullRun()
        return WandbRun(self.session, describe(stage, folder))

    def send(self, outcome: Outcome) -> Sequence[str]:
        pushed = self.push(outcome)
        done = "written" if pushed.mode == "offline" else "sent"
        said = [f"W&B {pushed.mode}: {pushed.sent} runs {done} now, {pushed.present} before"]
        if pushed.mode == "offline":
            said.append(f"to upload them: wandb sync {self.session.files}/offline-run-*")
        return said

    def push(self, outcome: Outcome) -> Pushed:
        """Mirror every finished trained stage of a sweep and its summary run."""
        session = self.session
        if session.mode == "disabled":
            return Pushed(0, 0, False, session.mode)
        sent = present = 0
        for stage in outcome.stages:
            rows = read_jsonl(stage.folder / "metrics.jsonl")
            own = read_json(stage.folder / "summary.json") or {}
            summary = own | dict(outcome.scores.get(stage.key, {}))
            if is_mirrored(session, stage.key, len(rows), summary):
                present += 1
                continue
            replay(session, stage, rows, summary)
            if session.boundary.broken:
                break
            sent += 1
        if not session.boundary.broken:
            _send_summary(session, outcome)
        return Pushed(sent, present, not session.boundary.broken, session.mode)


def replay(session: Session, stage: TrainedStage, rows: list[dict[str, Any]], summary: Mapping[str, Any]) -> None:
    """Send the rows that W&B lacks; an offline run cannot be continued, so an unfinished one is written anew."""
    if session.mode == "offline":
        _discard(session, run_id("stage", stage.key))
    run = WandbRun(session, stage)
    run.rows = min(run.starting_row, len(rows))
    for row in rows[run.rows :]:
        run.log({name: value for name, value in row.items() if name not in NOT_LOGGED}, row["step"])
    run.finish(summary)


def _discard(session: Session, name: str) -> None:
    for folder in session.files.glob(f"offline-run-*-{name}"):
        shutil.rmtree(folder, ignore_errors=True)


def _send_summary(session: Session, outcome: Outcome) -> None:
    """One run for the sweep: the table of groups, PGR against student size, medians over all cells, and the report."""
    stamp = digest([flat_summary(outcome.numbers), [list(row) for row in outcome.table]])
    done = marker(session, "summary")
    found = read_json(done)
    if found is not None and found.get("stamp") == stamp and (found["mode"] == "online" or session.mode == "offline"):
        return
    name = run_id("sweep", outcome.sweep)
    if session.mode == "offline":
        _discard(session, name)
    with session.boundary("the summary run"):
        run = session.open(name, name=f"summary {outcome.sweep}", job_type="summary", tags=[outcome.sweep])
        _log_curves(run, outcome)
        with session.boundary("the table of the summary run"):
            import wandb

            table = wandb.Table(columns=list[str | int](outcome.heads), data=[list(row) for row in outcome.table])
            run.log({"results": table})
            run.log({f"figures/{path.stem}": wandb.Image(str(path)) for path in outcome.figures})
            if outcome.report is not None:
                run.log({"report": wandb.Html(str(outcome.report), inject=False)})
        run.summary.update(dict(outcome.numbers))
        run.finish()
        if not session.boundary.broken:
            write_json(done, {"stamp": stamp, "mode": session.mode})


def _log_curves(run: Any, outcome: Outcome) -> None:
    """PGR against the student's size: one row per size, one series per weak model and setting."""
    run.define_metric("strong_params")
    run.define_metric("pgr/*", step_metric="strong_params")
    for size in sorted(outcome.by_size):
        run.log({"strong_params": size, **outcome.by_size[size]})
