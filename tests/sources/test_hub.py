"""The hub is resolved to commits; what was fetched once needs no network."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

import pytest

from tests.sources.archives import run_python
from w2s_sweep.config.source import HubSource
from w2s_sweep.errors import SourceError
from w2s_sweep.sources import hub, identify

COMMIT, CONVERTED = "a" * 40, "b" * 40


class Hub(BaseHTTPRequestHandler):
    """Enough of the hub's interface for the real client: a script repository with a converted copy, and a model."""

    protocol_version = "HTTP/1.1"
    revisions: ClassVar = {"main": COMMIT, "refs/convert/parquet": CONVERTED}
    files: ClassVar = {
        COMMIT: {"README.md": b"#", "task.py": b"", "model.safetensors": b"w", "pytorch_model.bin": b"w"},
        CONVERTED: {"default/train/0000.parquet": b"rows", "default/test/0000.parquet": b"rows"},
    }

    def do_GET(self) -> None:
        self.answer(*self.route())

    def do_HEAD(self) -> None:
        self.answer(*self.route())

    def log_message(self, format: str, *args: object) -> None:
        pass

    def route(self) -> tuple[int, bytes, dict[str, str]]:
        path = unquote(urlsplit(self.path).path)
        if "/resolve/" in path:
            commit, name = path.split("/resolve/")[1].split("/", 1)
            content = self.files[commit][name]
            return 200, content, {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        if "/tree/" in path:
            files = self.files[path.split("/tree/")[1]].items()
            return (
                200,
                json.dumps([{"type": "file", "oid": "0" * 40, "size": len(c), "path": n} for n, c in files]).encode(),
                {},
            )
        revision = path.partition("/revision/")[2]
        commit = self.revisions.get(revision, revision)
        if commit not in self.files:
            return 404, b"{}", {"X-Error-Code": "RevisionNotFound"}
        siblings = [{"rfilename": name} for name in self.files[commit]]
        return 200, json.dumps({"id": "o/n", "sha": commit, "siblings": siblings, "tags": []}).encode(), {}

    def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@pytest.fixture
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


HUB_CODE = """
import json, os
from w2s_sweep.config.source import HubSource
from w2s_sweep.errors import SourceError
from w2s_sweep.sources import fetch, hub, identify
def ask(repo_type, **fields):
    source = HubSource(repository="o/n", **fields)
    try:
        identity = identify(source, repo_type)
        folder = fetch(source, identity, repo_type)
    except SourceError as error:
        return str(error)
    return identity, sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
online = [ask("dataset"), ask("model"), ask("dataset", revision="gone")]
os.environ["W2S_OFFLINE"] = "1"
hub._resolve.cache_clear()
print(json.dumps(online + [ask("dataset"), ask("model"), ask("model", revision="gone")]))
"""


@pytest.mark.slow
def test_the_hub_is_resolved_to_commits_and_answers_offline_afterwards(endpoint: str, tmp_path: Path) -> None:
    done = run_python(
        HUB_CODE, HF_ENDPOINT=endpoint, HF_HOME=str(tmp_path / "hf"), HF_HUB_OFFLINE="0", HF_HUB_DISABLE_XET="1"
    )
    assert done.returncode == 0, done.stderr
    data, model, gone, *offline = json.loads(done.stdout)
    assert data[0] == {"kind": "hub", "repository": "o/n", "commit": CONVERTED}
    assert data[1] == ["default/test/0000.parquet", "default/train/0000.parquet"]
    assert model == [{"kind": "hub", "repository": "o/n", "commit": COMMIT}, ["model.safetensors"]]
    assert "'gone'" in gone
    assert "Set source.revision" in gone
    assert offline[:2] == [data, model]
    assert "Start the sweep once where there is internet" in offline[2]


@pytest.mark.slow
def test_a_hub_that_cannot_be_reached_is_said_so(tmp_path: Path) -> None:
    code = HUB_CODE.split("online =")[0] + "print(ask('dataset'))"
    env = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
    done = run_python(code, **env)
    assert "the hub cannot be reached" in done.stdout, done.stderr


def test_a_commit_needs_no_network_and_a_branch_is_found_in_the_hub_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("W2S_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    pinned = HubSource(repository="o/n", revision=COMMIT, subset="sst2")
    assert identify(pinned, "dataset") == {"kind": "hub", "repository": "o/n", "commit": COMMIT, "subset": "sst2"}
    branch = HubSource(repository="o/n")
    with pytest.raises(SourceError, match="forbids the network"):
        identify(branch, "model")
    (tmp_path / "models--o--n" / "refs").mkdir(parents=True, exist_ok=True)
    (tmp_path / "models--o--n" / "refs" / "main").write_text(COMMIT)
    assert identify(branch, "model")["commit"] == COMMIT


@pytest.mark.parametrize(
    ("names", "subset", "chosen"),
    [
        (["data/train-0.parquet", "README.md"], None, ["data/train-0.parquet"]),
        (["sst2/train-0.parquet", "cola/train-0.parquet"], "cola", ["cola/train-0.parquet"]),
        (["train.csv", "x/train.parquet"], None, ["x/train.parquet"]),
        (["a/train.jsonl.gz", "b/train.jsonl.gz", "load.py"], "b", ["b/train.jsonl.gz"]),
        (["load.py", "data.zip"], None, []),
        (["default/train/0000.parquet"], "other", []),
    ],
)
def test_data_files_of_a_subset(names: list[str], subset: str | None, chosen: list[str]) -> None:
    assert hub.data_files(names, subset) == chosen


def test_several_subsets_must_be_chosen_from() -> None:
    with pytest.raises(SourceError, match="Allowed: cola, sst2"):
        hub.data_files(["sst2/train.parquet", "cola/train.parquet"], None)
