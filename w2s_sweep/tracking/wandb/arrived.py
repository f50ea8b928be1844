"""What has arrived at a W&B server: asked of the server itself, and noted by server, entity, project and run.

A note is only ever written of what the server said it has; without one the server is asked again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_sweep.plan.stage import digest
from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.tracking.wandb.session import SECONDS, Session, boundary, server_url


@dataclass(frozen=True)
class Arrived:
    """What a server has of a run."""

    rows: int
    """Of its curves."""
    summary: Mapping[str, Any]
    group: str | None
    tags: tuple[str, ...]

    def holds(self, rows: int, mark: str, stamp: str) -> bool:
        """Whether all rows are there, and the summary and configuration that `stamp` was made of."""
        return self.rows >= rows and self.summary.get(mark) == stamp


class Server:
    """The server, entity and project that runs go to. WandbFailed where it does not answer."""

    def __init__(self, session: Session):
        import wandb

        with boundary("asking the server"):
            self.url = server_url()
            self._api: Any = wandb.Api(timeout=int(SECONDS))
            self.entity = session.entity or str(self._api.default_entity)
        self.project = session.project

    def find_arrived(self, name: str) -> Arrived | None:
        """What it has of the run with this id; None where it has no such run."""
        with boundary("asking the server"):
            self._api.flush()  # it keeps what it was told before
            try:
                run = self._api.run(f"{self.entity}/{self.project}/{name}")
            except Exception as error:
                if "Could not find run" in str(error):
                    return None
                raise
            rows, summary = int(run.historyLineCount or 0), dict(run.summary)
            return Arrived(rows, summary, run.group, tuple(run.tags or ()))


class Notes:
    """Which runs are known to have arrived, in one file for each server, entity and project."""

    def __init__(self, folder: Path, server: Server):
        where = {"url": server.url, "entity": server.entity, "project": server.project}
        self.path = folder / "arrived" / f"{digest(where)[:16]}.json"
        before = read_json(self.path) or {}
        self._record: dict[str, Any] = {**where, "runs": before.get("runs", {}), "begun": before.get("begun", [])}

    def knows(self, name: str, stamp: str) -> bool:
        return self._record["runs"].get(name) == stamp

    def begin(self, name: str) -> None:
        """Note a run that is about to be sent: a part of it may arrive, whatever happens."""
        self._record["begun"] = sorted({*self._record["begun"], name})
        write_json(self.path, self._record)

    def add(self, found: Mapping[str, str]) -> None:
        """Note runs: id -> stamp."""
        if found:
            self._record["runs"] |= found
            write_json(self.path, self._record)


def ids_online(folder: Path) -> set[str]:
    """Ids of the runs that went to any server, or were begun there."""
    records = (read_json(path) or {} for path in (folder / "arrived").glob("*.json"))
    return {name for record in records for name in (*record.get("runs", {}), *record.get("begun", ()))}
