"""Mirrors a sweep to W&B from its files, as often as you like: the server is asked what it has, and gets the rest."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

from w2s_sweep.tracking.base import Outcome, Sent
from w2s_sweep.tracking.wandb.arrived import Notes, Server, ids_online
from w2s_sweep.tracking.wandb.content import RunContent, stage_content, summary_content
from w2s_sweep.tracking.wandb.offline import discard, write_offline
from w2s_sweep.tracking.wandb.runs import write_run
from w2s_sweep.tracking.wandb.session import SALT, Session, WandbFailed, choose_mode, open_run
from w2s_sweep.tracking.wandb.settings import Wandb

LAG_SECONDS = 20.0
"""How long a server may take to count what it was sent."""
MOST_WAITING = 3
"""Runs that are sent while the server says that it has none of them."""


class WandbTracker:
    """Mirrors every trained stage of a sweep, and its results."""

    def __init__(self, settings: Wandb, sweep: str, folder: Path):
        self.settings, self.sweep, self.folder = settings, sweep, folder

    def send(self, outcome: Outcome, force: bool = False) -> Sent:
        mode = choose_mode(self.settings.mode)
        if mode == "disabled":
            return Sent()
        if (theirs := open_run()) is not None:  # W&B has one process and one set of settings for all runs of a program
            line = f"W&B: your run {theirs} is open in this program, and would end. Finish it. Nothing is lost:"
            return Sent([f"{line} {later(self.sweep)}"], complete=False)
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
    arrived: int = 0
    """Runs that were sent now and that the server has, as it says itself."""
    waiting: list[RunContent] = field(default_factory=list[RunContent])
    """Runs that were sent and that it does not have so far."""
    deleted: int = 0
    """Runs whose id the server refuses for ever."""
    failure: str = ""

    def run(self, contents: Sequence[RunContent], outcome: Outcome, force: bool) -> Sent:
        try:
            for content in contents:
                if not force and self.notes.knows(content.name, content.stamp):
                    self.present += 1
                    continue
                self._send(content, message_of(self.session, outcome))
                self._look()
                if len(self.waiting) >= MOST_WAITING and not self._wait():
                    break  # it takes what is sent and keeps nothing: the rest would fare no better
            self._wait()
        except WandbFailed as failure:
            self.failure = str(failure)
            with suppress(WandbFailed):
                self._look()
        return self._report(len(contents))

    def _send(self, content: RunContent, message: tuple[str, str] | None) -> None:
        """Send what the server lacks of a run."""
        found = self.server.find_arrived(content.name)
        if found is not None and found.holds(len(content.rows), content.mark, content.stamp):
            self.present += 1
            self.notes.add({content.name: content.stamp})
            return
        discard(self.session, content.name)  # `wandb sync` of what was written offline would send it once more
        self.notes.begin(content.name)
        try:
            write_run(self.session, content, found, message if content.job_type == "summary" else None)
        except WandbFailed as failure:
            if "deleted" not in str(failure):  # "run ... was previously created and deleted; try a new run name"
                raise
            self.deleted += 1
        else:
            self.waiting.append(content)

    def _look(self) -> None:
        """Note what has arrived of what was sent, as the server says."""
        for content in list(self.waiting):
            found = self.server.find_arrived(content.name)
            if found is not None and found.holds(len(content.rows), content.mark, content.stamp):
                self.waiting.remove(content)
                self.notes.add({content.name: content.stamp})
                self.arrived += 1

    def _wait(self) -> bool:
        """Give the server time to count what it was sent; whether it has all of it then."""
        deadline = monotonic() + LAG_SECONDS
        while self.waiting and monotonic() < deadline:
            sleep(1.0)
            self._look()
        return not self.waiting

    def _report(self, wanted: int) -> Sent:
        where = f"{self.server.entity}/{self.server.project}"
        missing = wanted - self.present - self.arrived - self.deleted
        lines = [f"W&B {where}: {self.arrived} runs sent now, {self.present} there before"]
        if self.deleted:
            lines.append(
                f"W&B: {self.deleted} runs were deleted there, and a deleted id is never taken again. "
                f"{SALT}=ANY_WORD gives the sweep's runs new ids: {SALT}=2 w2s push {self.session.sweep}"
            )
        if missing:
            why = self.failure or "the server does not have what it was sent"
            lines.append(f"W&B: {missing} runs have not arrived ({why}). Nothing is lost: {later(self.session.sweep)}")
        return Sent(lines, complete=not missing and not self.deleted)


def message_of(session: Session, outcome: Outcome) -> tuple[str, str] | None:
    """Title and text of the message that the sweep has ended, where one is wished for."""
    if not session.settings.alert:
        return None
    cells, done, failed = (int(outcome.numbers[name]) for name in ("cells", "cells/done", "cells/failed"))
    state = f"{failed} of {cells} cells failed" if failed else f"{done} of {cells} cells finished"
    pgr = outcome.numbers.get("median/pgr")
    return f"{outcome.sweep}: {state}", state + ("" if pgr is None else f"; median PGR {pgr:.2f}")
