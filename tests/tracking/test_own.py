"""A tracker from a module outside the package: in a run, in `w2s push`, and when its file is gone."""

import json
from pathlib import Path

import pytest

from tests.command import launch
from tests.outside import NOTEBOOK, forgotten
from tests.results_store import NAME, Shape, build
from w2s_sweep.cli import main as w2s
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json


@pytest.fixture(autouse=True)
def _forget():
    with forgotten():
        yield


@pytest.fixture
def module(tmp_path: Path) -> Path:
    (tmp_path / "mine" / "tracker").mkdir(parents=True)
    (tmp_path / "mine" / "tracker" / "notebook.yaml").write_text("name: notebook\nfile: notes.jsonl\n")
    (tmp_path / "mine" / "notebook.py").write_text(NOTEBOOK)
    return tmp_path / "mine" / "notebook.py"


@pytest.fixture
def store(tmp_path: Path, module: Path) -> Store:
    """Of a sweep that was mirrored by the module."""
    made = build(tmp_path / "store", Shape())
    record = made.sweep(NAME) / "sweep.json"
    tracker = {"name": "notebook", "file": str(tmp_path / "recorded.jsonl")}
    write_json(record, (read_json(record) or {}) | {"settings": {"tracker": tracker, "modules": [str(module)]}})
    return made


def notes(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_it_runs_from_the_command_line(tmp_path, module, tiny_models, tiny_task):
    own = ["--config-dir", str(module.parent), f"modules=[{module}]", "tracker=notebook"]
    argv = [*own, f"store={tmp_path / 'store'}", "name=own", "finetune=probe", "finetune.epochs=3", "threads=1"]
    status, out, err = launch(*argv, *tiny_models, *tiny_task, f"tracker.file={tmp_path / 'there.jsonl'}")
    assert status == 0, err
    assert f"noted in {tmp_path / 'there.jsonl'}" in out
    (note,) = notes(tmp_path / "there.jsonl")
    assert (note["sweep"], note["stages"], note["cells/done"]) == ("own", 3, 1)
    _, _, err = launch(*argv, "tracker.fiel=x")
    assert "tracker: unknown name 'fiel'. Did you mean 'file'?" in err


@pytest.mark.slow
def test_a_sweep_is_mirrored_as_recorded_or_as_the_command_says(tmp_path, store, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["--store", str(store.root), "push", NAME]
    assert w2s(command) == 0
    assert w2s([*command, "tracker=notebook"]) == 0  # no folder with its file is named: as the class has them
    assert w2s([*command, "tracker=notebook", "tracker.file=other.jsonl"]) == 0
    for name in ("recorded.jsonl", "notes.jsonl", "other.jsonl"):
        (note,) = notes(tmp_path / name)
        assert (note["sweep"], note["cells/done"]) == (NAME, 1)


@pytest.mark.slow
def test_without_its_module_or_with_another_one_is_told_what_is_wrong(store, module, capsys):
    command = ["--store", str(store.root), "push", NAME]
    with forgotten():
        module.write_text(NOTEBOOK.replace("file: str", "page: int").replace('"notes.jsonl"\n', "1\n"))
        assert w2s(command) == 1
    assert "tracker notebook: these settings of the sweep are not its own any more: file: " in capsys.readouterr().err
    module.unlink()
    assert w2s(command) == 1
    said = capsys.readouterr().err
    assert "tracker: unknown name 'notebook'" in said
    assert f"there is no file {module}" in said
