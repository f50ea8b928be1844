"""A W&B server of the standard library: it keeps what the real client sends, counts rows, and can be out of order.

It speaks what wandb 0.31 uses: GraphQL for runs, files and artifacts, and the file stream of history and summary.
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Fault = Callable[[str, int], int | str | None]
"""(operation, how often it was called before) -> a status, `drop` (no answer), `hang`, `lost` (taken and forgotten)."""


@dataclass
class Run:
    """What the server holds of a run."""

    history: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Line -> row."""
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    """groupName, jobType, displayName, notes, tags."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [self.history[line] for line in sorted(self.history)]


class WandbServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.runs: dict[tuple[str, str, str], Run] = {}
        self.deleted: set[str] = set()
        self.alerts: list[dict[str, Any]] = []
        self.views: list[dict[str, Any]] = []
        self.calls: Counter[str] = Counter()
        self.fault: Fault = lambda operation, before: None
        self.closing = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of what is tested."""

    def run(self, name: str) -> Run:
        """The one run of this id."""
        (found,) = (run for (_, _, one), run in self.runs.items() if one == name)
        return found

    def names(self) -> set[str]:
        return {name for _, _, name in self.runs}


@contextmanager
def serve() -> Iterator[WandbServer]:
    server = WandbServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WandbServer

    def log_message(self, format: str, *args: Any) -> None:
        return

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self._body()
        self._answer({})

    def do_GET(self) -> None:
        self._answer({}, 404)

    def do_POST(self) -> None:
        body = json.loads(self._body())
        stream = re.fullmatch(r"/files/([^/]+)/([^/]+)/([^/]+)/file_stream", self.path)
        found = re.search(r"(?:query|mutation)\s+(\w+)", body.get("query", ""))
        operation = "file_stream" if stream else found[1] if found else "query"
        before = self.server.calls[operation]
        self.server.calls[operation] += 1
        fault = self.server.fault(operation, before)
        if isinstance(fault, int):
            self._answer({"errors": [{"message": f"made-up error {fault}"}]}, fault)
        elif fault == "drop":
            self.close_connection = True
        elif fault == "hang":
            self.server.closing.wait(600)
            self.close_connection = True
        elif fault == "lost":
            self._answer({"data": {}})
        elif stream:
            self._answer(self._stream(self.server.runs[stream[1], stream[2], stream[3]], body))
        else:
            self._graphql(operation, body["query"], body.get("variables") or {})

    def _stream(self, run: Run, body: dict[str, Any]) -> dict[str, Any]:
        for name, part in body.get("files", {}).items():
            if name == "wandb-history.jsonl":
                run.history |= {part["offset"] + i: json.loads(line) for i, line in enumerate(part["content"])}
            elif name == "wandb-summary.json":
                run.summary = json.loads(part["content"][-1])
        return {}

    def _graphql(self, operation: str, query: str, v: dict[str, Any]) -> None:
        if operation == "UpsertBucket" and v["name"] in self.server.deleted:
            message = f"run {v['name']} was previously created and deleted; try a new run name"
            self._answer(
                {"data": {"upsertBucket": None}, "errors": [{"message": message, "path": ["upsertBucket"]}]}, 409
            )
            return
        self._answer({"data": self._data(operation, query, v)})

    def _data(self, operation: str, query: str, v: dict[str, Any]) -> dict[str, Any]:
        if operation == "UpsertBucket":
            return {"upsertBucket": self._upsert(v)}
        if operation == "RunResumeStatus":
            run = self._find(v)
            model = {"id": "p", "name": v["project"], "entity": {"id": "e", "name": v["entity"] or "me"}}
            return {"model": model | {"bucket": run and self._resume(v["name"], run)}}
        if operation == "Run":
            run = self._find(v)
            return {"project": {"run": run and self._public(v["name"], run)}}
        if operation == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{self.server.url}/put/{name}"} for name in v["files"]]
            return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
        if operation == "NotifyScriptableRunAlert":
            self.server.alerts.append(v)
            return {"notifyScriptableRunAlert": {"success": True}}
        if "viewer" in query:
            viewer = {"id": "u", "entity": "me", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}
            return {"viewer": viewer}
        return self._artifacts(operation, query, v)

    def _artifacts(self, operation: str, query: str, v: dict[str, Any]) -> dict[str, Any]:
        if operation == "ArtifactType":
            return {"project": {"artifact": None}}
        if operation == "CreateArtifact":
            artifact = {"id": "a", "state": "COMMITTED", "artifactSequence": {"id": "s", "latestArtifact": None}}
            return {"createArtifact": {"artifact": artifact}}
        if operation == "ServerFeaturesQuery":
            return {"serverInfo": {"features": []}}
        if operation == "UpsertView2":
            self.server.views.append(v)
            return {"upsertView": {"view": {"id": "v", "name": "v"}, "inserted": True}}
        raise AssertionError(f"{operation}: the client calls what this server does not know: {query} {v}")

    def _find(self, v: dict[str, Any]) -> Run | None:
        return self.server.runs.get((v.get("entity") or "me", v["project"], v["name"]))

    def _upsert(self, v: dict[str, Any]) -> dict[str, Any]:
        place = (v["entity"] or "me", v["project"], v["name"])
        new = place not in self.server.runs
        run = self.server.runs.setdefault(place, Run())
        if v.get("config"):
            run.config |= {name: one["value"] for name, one in json.loads(v["config"]).items()}
        for name in ("groupName", "jobType", "displayName", "notes", "tags"):
            if v.get(name) is not None:
                run.about[name] = v[name]
        project = {"id": "p", "name": place[1], "entity": {"id": "e", "name": place[0]}}
        bucket = {"id": "b", "name": place[2], "displayName": run.about.get("displayName"), "description": None}
        bucket |= {"config": "{}", "sweepName": None, "project": project, "historyLineCount": len(run.history)}
        return {"bucket": bucket, "inserted": new}

    def _resume(self, name: str, run: Run) -> dict[str, Any]:
        config = json.dumps({key: {"value": value} for key, value in run.config.items()})
        tail = json.dumps([json.dumps(row) for row in run.rows[-1:]])
        return {
            "id": "b", "name": name, "summaryMetrics": json.dumps(run.summary), "displayName": None,
            "logLineCount": 0, "historyLineCount": len(run.history), "eventsLineCount": 0, "historyTail": tail,
            "eventsTail": "[]", "config": config, "tags": run.about.get("tags") or [], "notes": "",
            "wandbConfig": '{"t": 1}',
        }  # fmt: skip

    def _public(self, name: str, run: Run) -> dict[str, Any]:
        config = json.dumps({key: {"value": value} for key, value in run.config.items()})
        return {
            "projectId": 1, "id": "b", "tags": run.about.get("tags") or [], "name": name,
            "displayName": run.about.get("displayName"), "sweepName": None, "state": "finished", "config": config,
            "group": run.about.get("groupName"), "jobType": run.about.get("jobType"), "commit": None,
            "readOnly": False, "createdAt": "2026-01-01T00:00:00", "heartbeatAt": "2026-01-01T00:00:00",
            "description": None, "notes": run.about.get("notes"), "systemMetrics": "{}",
            "summaryMetrics": json.dumps(run.summary), "historyLineCount": len(run.history),
            "user": {"name": "me", "username": "me"}, "historyKeys": None,
        }  # fmt: skip
