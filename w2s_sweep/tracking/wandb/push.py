"""Mirrors a sweep to W&B from its files, as often as you like: the server is asked what it has, and gets the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

from w2s_sweep.tracking.base import Outcome, Sent
from w2s_sweep.tracking.wandb.arrived import Notes, Server, ids_online
from w2s_sweep.tracking.wandb.offline import discard, write_offline
from w2s_sweep.tracking.wandb.runs import write_run
from w2s_sweep.tracking.wandb.session import SALT, Session, WandbFailed, choose_mode
from w2s_sweep.tracking.wandb.settings import Wandb
from w2s_sweep.tracking.wandb.content import RunContent, stage_content, summary_content


LAG_SECONDS = 20.0
"""How long a server may take to count what it was sent."""


class WandbTracker:
    """Mirrors every trained stage of a sweep, and its results."""

    def __init__(self, settings: Wandb, sweep: str, folder: Path):
        self.settings, self.sweep, self.folder = settings, sweep, folder

    def send(self, outcome: Outcome, force: bool = False) -> Sent:
        mode = choose_mode(self.settings.mode)
        if mode == "disabled":
            return Sent()
        try:
            with Session(self.settings, self.sweep, self.folder, mode) as session:
                contents = [stage_content(session, stage) for stage in outcome.stages]
                contents.append(summary_content(session, outcome))
                if mode == "offline":
                    return write_offline(session, contents, ids_online(self.folder / "wandb"))
                return Push(session, Notes(self.folder / "wandb", server := Server(session)), server).run(
                    contents, outcome, force
                )
        except WandbFailed as failure:
            return Sent([f"W&B: {failure}. Nothing is lost: {later(self.sweep)}"], complete=False)


def later(sweep: str) -> str:
    """What to do where something has not arrived."""
    return f"`w2s push {sweep}` sends what is missing."


@dataclass
class Push:
    """One push to a server that answers."""

    session: Session
    notes: Notes
    server: Server
    present: int = 0
    """Runs that the server had already."""
    sent: list[RunContent] = field(default_factory=list[RunContent])
    deleted: int = 0
    """Runs whose id the server refuses for ever."""
    failure: WandbFailed | None = None

    def run(self, contents: Sequence[RunContent], outcome: Outcome, force: bool) -> Sent:
        for content in contents:
            if not force and self.notes.knows(content.name, content.stamp):
                self.present += 1
                continue
            try:
                self._send(content, outcome)
            except WandbFailed as failure:
                if "deleted" in str(failure):  # `run ... was previously created and deleted; try a new run name`
                    self.deleted += 1
                    continue
                self.failure = failure
                break
        return self._told(len(contents), self._confirmed())

    def _send(self, content: RunContent, outcome: Outcome) -> None:
        """Send what the server lacks of a run."""
        found = self.server.arrived(content.name)
        if found is not None and found.holds(len(content.rows), content.mark, content.stamp):
            self.present += 1
            self.notes.add({content.name: content.stamp})
            return
        discard(self.session, content.name)  # `wandb sync` of what was written offline would send it once more
        self.notes.begin(content.name)
        self.sent.append(content)
        message = message_of(self.session, outcome) if content.job_type == "summary" else None
        write_run(self.session, content, found, message)

    def _confirmed(self) -> int:
        """How many of the sent runs have arrived, as the server says; those are noted."""
        waiting, deadline = list(self.sent), monotonic() + (LAG_SECONDS if self.failure is None else 0.0)
        while waiting:
            try:
                found = {content.name: self.server.arrived(content.name) for content in waiting}
            except WandbFailed as failure:
                self.failure = self.failure or failure
                break
            here = [c for c in waiting if (one := found[c.name]) and one.holds(len(c.rows), c.mark, c.stamp)]
            self.notes.add({content.name: content.stamp for content in here})
            waiting = [content for content in waiting if content not in here]
            if not waiting or monotonic() > deadline:
                break
            sleep(1.0)
        return len(self.sent) - len(waiting)

    def _told(self, wanted: int, confirmed: int) -> Sent:
        where = f"{self.server.entity}/{self.server.project}"
        missing = wanted - self.present - confirmed - self.deleted
        lines = [f"W&B {where}: {confirmed} runs sent now, {self.present} there before"]
        if self.deleted:
            lines.append(
                f"W&B: {self.deleted} runs were deleted there, and a deleted id is never taken again. "
                f"{SALT}=ANY_WORD gives the sweep's runs new ids: {SALT}=2 w2s push {self.session.sweep}"
            )
        if missing:
            why = f" ({self.failure})" if self.failure else ""
            lines.append(f"W&B: {missing} runs have not arrived{why}. Nothing is lost: {later(self.session.sweep)}")
        return Sent(lines, complete=not missing and not self.deleted)


def message_of(session: Session, outcome: Outcome) -> tuple[str, str] | None:
    """Title and text of the message that the sweep has ended, where one is wished for."""
    if not session.settings.alert:
        return None
    cells, done, failed = (int(outcome.numbers[name]) for name in ("cells", "cells/done", "cells/failed"))
    state = f"{failed} of {cells} cells failed" if failed else f"{done} of {cells} cells finished"
    pgr = outcome.numbers.get("median/pgr")
    return f"{outcome.sweep}: {state}", state + ("" if pgr is None else f"; median PGR {pgr:.2f}")
