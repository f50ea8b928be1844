"""The identity of a file or a folder is that of its names and contents."""

import os
from pathlib import Path

import pytest

from tests.sources.archives import run_python
from w2s_sweep.config.source import LocalSource
from w2s_sweep.errors import SourceError
from w2s_sweep.sources import fetch, identify, local


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


@pytest.mark.slow
def test_nothing_heavy_is_imported() -> None:
    heavy = ["torch", "transformers", "datasets", "wandb", "huggingface_hub", "chess"]
    code = (
        "import sys, w2s_sweep.sources, w2s_sweep.data.examples, w2s_sweep.data.split, w2s_sweep.data.show\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert run_python(code).stdout.strip() == "[]"
