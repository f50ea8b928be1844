"""A fetched file that was damaged later is named before anything is made of it."""

import os

import pytest

from w2s_sweep.errors import SourceError
from w2s_sweep.sources import manifest
from w2s_sweep.sources.cache import cache_root, recall, remember


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("W2S_CACHE", str(tmp_path / "cache"))
    found = tmp_path / "cache" / "wheel" / "model"
    (found / "sub").mkdir(parents=True)
    (found / "model.safetensors").write_bytes(bytes(range(250)))
    (found / "sub" / "config.json").write_text("{}")
    return manifest.check(found)


def test_sound_files_pass_also_when_they_were_touched(folder):
    os.utime(folder / "model.safetensors", (1, 1))
    assert manifest.check(folder) == folder
    (path,) = (cache_root() / "manifests").iterdir()
    assert '"mtime_ns": 1000000000' in path.read_text()


def test_changed_bytes_of_the_same_size_are_told_with_the_file_and_what_to_do(folder):
    file = folder / "model.safetensors"
    file.write_bytes(bytes(250))
    os.utime(file, (5, 5))
    for _ in range(2):
        with pytest.raises(SourceError, match=rf"{file} was changed after it was fetched. Remove .*fetched again"):
            manifest.check(folder)


def test_a_file_that_went_away_is_told(folder):
    (folder / "sub" / "config.json").unlink()
    with pytest.raises(SourceError, match=r"config.json went away"):
        manifest.check(folder)


@pytest.mark.parametrize("content", ["", "[]", '{"files": {"model.safetensors": 1}}', '{"files": []}'])
def test_a_damaged_record_is_written_anew(folder, content):
    (path,) = (cache_root() / "manifests").iterdir()
    path.write_text(content)
    manifest.check(folder)
    assert "sha256" in path.read_text()


@pytest.mark.parametrize("content", ["", "[]", "\x00"])
def test_a_damaged_note_is_no_note(folder, content):
    remember({"commit": "a"}, "commit", "model")
    assert recall("commit", "model") is not None
    (note,) = (cache_root() / "notes").iterdir()
    note.write_text(content)
    assert recall("commit", "model") is None
