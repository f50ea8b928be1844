"""What a model of the hub is, out of the hub's cache or of the heads of its files: no weights are fetched for it."""

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from huggingface_hub import constants

from tests.sources.test_hub import COMMIT, Hub
from tests.sources.test_model_folder import shard_missing, write_model, write_weights
from w2s_sweep.config.source import HubSource
from w2s_sweep.errors import SourceError
from w2s_sweep.sources import hub
from w2s_sweep.sources.hub_model import describe

SOURCE = HubSource(repository="org/name")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `org/name` in an empty cache of the hub."""
    monkeypatch.setenv("W2S_CACHE", str(tmp_path / "notes"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    hub._resolve.cache_clear()
    return tmp_path / "hub" / "models--org--name"


def write_cached(cache: Path, **change: object) -> Path:
    """A snapshot as the hub's own tools leave it."""
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(COMMIT)
    return write_model(cache / "snapshots" / COMMIT, **change)


def test_what_the_cache_has_needs_no_network(cache: Path) -> None:
    write_cached(cache, model_type="gpt2")
    facts = describe(SOURCE)
    assert (facts.params, facts.layers, facts.hidden, facts.lora_targets) == (152, 3, 8, ("c_attn",))


def test_what_is_not_there_or_no_model_is_told(cache: Path) -> None:
    with pytest.raises(SourceError, match=r"org/name at 'main' is not in the cache and .* Start the sweep once where"):
        describe(SOURCE)
    folder = write_cached(cache, model_type="t5", is_encoder_decoder=True)
    with pytest.raises(SourceError, match=r"org/name as the cache has it: .* is an encoder-decoder"):
        describe(SOURCE)
    write_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(SourceError, match="is not in the cache"):
        describe(SOURCE)


class ModelHub(Hub):
    """A hub with one model, which counts the files that are asked for."""

    files: ClassVar = {COMMIT: {}}
    asked: ClassVar[list[str]] = []

    def route(self) -> tuple[int, bytes, dict[str, str]]:
        path = self.path.split("?")[0]
        if "/resolve/" in path and path.rpartition("/")[2] not in self.files[COMMIT]:
            return 404, b"{}", {"X-Error-Code": "EntryNotFound"}
        if self.command == "GET" and "/resolve/" in path:
            self.asked.append(f"{path.rpartition('/')[2]} {self.headers.get('range', '')}".strip())
        return super().route()


@pytest.fixture
def online(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A `ModelHub` is there to be asked."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    with ThreadingHTTPServer(("127.0.0.1", 0), ModelHub) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()


def publish(folder: Path) -> None:
    """Make the files of a folder those of the hub's model."""
    ModelHub.files[COMMIT] = {path.name: path.read_bytes() for path in folder.iterdir()}
    ModelHub.asked.clear()


@pytest.mark.usefixtures("online")
def test_the_hub_tells_sizes_without_the_weights(tmp_path: Path) -> None:
    publish(write_model(tmp_path / "made", model_type="qwen3"))
    facts = describe(SOURCE)
    ModelHub.files[COMMIT].pop("model.safetensors")
    with pytest.raises(SourceError, match=r"org/name has no safetensors weights at aaaaaaaaaaaa"):
        describe(SOURCE)
    assert (facts.params, facts.layers, facts.family) == (152, 3, "qwen3")
    assert [one for one in ModelHub.asked if "safetensors" in one] == ["model.safetensors bytes=0-100000"]


@pytest.mark.usefixtures("online")
def test_a_part_of_a_model_is_not_taken_for_the_whole(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = "model-00002-of-00002.safetensors"
    made, part = write_model(tmp_path / "made"), write_cached(cache)
    shard_missing(made)
    shard_missing(part)
    write_weights(made / second)
    publish(made)
    identity = hub.identify(SOURCE, "model")
    monkeypatch.setenv("W2S_OFFLINE", "1")
    with pytest.raises(SourceError, match=rf"is not in the cache and .* lacks {second}"):
        hub.fetch(SOURCE, identity, "model")
    monkeypatch.delenv("W2S_OFFLINE")
    for _ in range(2):  # at first, and after it was lost again
        folder = hub.fetch(SOURCE, identity, "model")
        assert (folder / second).is_file()
        (folder / second).unlink()
    assert folder == part
