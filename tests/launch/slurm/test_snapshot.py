"""What travels with a sweep's jobs: source and templates, and nothing that merely lies beside them."""

import os
from pathlib import Path

import pytest

from w2s_sweep.launch.slurm import snapshot
from w2s_sweep.launch.slurm.snapshot import take_snapshot
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json


def test_secrets_strays_and_targets_of_links_stay_where_they_are(tmp_path):
    package = tmp_path / "pack"
    (package / "inner").mkdir(parents=True)
    (package / ".git").mkdir()
    (tmp_path / "elsewhere").mkdir()
    kept = ["__init__.py", "inner/loss.py", "inner/page.html.j2", "inner/requeue.sh"]
    strays = [".env", "inner/.secret.py", "weights.bin", "notes", ".git/hook.py", "../elsewhere/shadow.py"]
    for name in (*kept, *strays):
        (package / name).write_text("x")
    (package / "linked.py").symlink_to("/etc/hostname")
    (package / "folder").symlink_to(tmp_path / "elsewhere")
    store = Store(tmp_path / "store")
    store.prepare()
    sweep = store.sweep("s")
    sweep.mkdir()
    folder, _ = take_snapshot(store, sweep, (), package)
    assert sorted(p.relative_to(folder / "pack").as_posix() for p in folder.rglob("*") if p.is_file()) == sorted(kept)
    assert (read_json(sweep / "code.json") or {})["snapshot"] == str(folder)


@pytest.fixture
def editor(tmp_path):
    """A package in which an editor writes a file first and renames it then, a store, and a sweep's folder."""
    package, store = tmp_path / "pack", Store(tmp_path / "store")
    package.mkdir()
    (package / "__init__.py").write_text("x")
    (package / "draft.py").write_text("x")
    store.prepare()
    store.sweep("s").mkdir()
    return package, store


@pytest.mark.parametrize("moment", ["listed", "chosen", "read"])
def test_a_file_that_vanishes_meanwhile_does_not_travel(editor, monkeypatch, moment):
    package, store = editor
    walk, digest, copy = os.walk, snapshot._digest, snapshot._copy

    def gone(when):
        if when == moment:
            (package / "draft.py").unlink(missing_ok=True)

    def listed(folder):
        for entry in walk(folder):
            gone("listed")
            yield entry

    monkeypatch.setattr(snapshot.os, "walk", listed)
    monkeypatch.setattr(snapshot, "_digest", lambda files: (gone("chosen"), digest(files))[1])
    monkeypatch.setattr(snapshot, "_copy", lambda files, folder: (gone("read"), copy(files, folder))[1])
    folder, _ = take_snapshot(store, store.sweep("s"), (), package)
    assert [path.name for path in (folder / "pack").iterdir()] == ["__init__.py"]
    assert list(folder.parent.iterdir()) == [folder]


def test_a_module_that_is_gone_for_good_is_an_error(editor):
    package, store = editor
    with pytest.raises(FileNotFoundError):
        take_snapshot(store, store.sweep("s"), [str(Path(package, "mine.py"))], package)
