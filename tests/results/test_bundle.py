"""`w2s export`: a sweep that is read elsewhere; no link leads out of it, and nothing names a folder of this machine."""

import json
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.results.test_report import Outside
from tests.results_store import NAME, Shape, build
from w2s_sweep.cli import main
from w2s_sweep.results.collect import collect
from w2s_sweep.results.relocate import hide, relocate
from w2s_sweep.results.report import write_results
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json

EMPTY = Shape(missing=("weak w14 sciq 0",))
"""Nothing is finished, so nothing is drawn."""


def name_folders(store):
    """Have the record and an error name folders of the machine, as commands and errors do."""
    path = store.sweep(NAME) / "sweep.json"
    record = read_json(path)
    command = ["launch.py", f"store={store.root}", f"data_root={Path.home()}/data"]
    cells = [entry | {"overrides": [f"dataset.path={store.root}/mine"]} for entry in record["cells"]]
    write_json(path, record | {"command": command, "cells": cells})


def export(store, *words):
    return main(["--store", str(store.root), "export", NAME, *map(str, words)])


def folders_in(folder, *forbidden):
    """Files, and columns of Parquet files, that name one of the forbidden folders."""
    found = []
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content = str(pq.read_table(path).to_pylist()).encode()
        found += [path for name in forbidden if name.encode() in content]
    return found


@pytest.mark.slow
def test_a_zip_holds_report_figures_and_predictions_and_links_stay_inside_wherever_it_is(tmp_path, capsys):
    store = build(tmp_path / "store", Shape(n_test=40, failed=("student w14 s410 sciq 0 1",), seeds=(0, 1)))
    name_folders(store)
    error = {"error": f"W2SError: {store.root}/stages/x: the disk is full"}
    key = next(key for key, about in store.read_sweep(NAME)["stages"].items() if about["label"].endswith("sciq 0 1"))
    write_json(store.work(key) / "failure.json", error)
    assert export(store, "--predictions", "--out", tmp_path / "mine.zip") == 0
    assert str(tmp_path / "mine.zip") in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "mine.zip") as archive:
        archive.extractall(tmp_path / "elsewhere")
    folder = tmp_path / "elsewhere" / "mine"
    assert folders_in(folder, str(tmp_path), f"{Path.home()}/") == []
    text = (folder / "report.html").read_text()
    assert "STORE/stages/x: the disk is full" in text
    assert "store=STORE" in text
    page = Outside()
    page.feed(text)
    targets = [(folder / link).resolve() for link in page.links]
    assert all(path.exists() and folder.resolve() in path.parents for path in targets)
    assert sum(path.name == "predictions.parquet" for path in folder.rglob("*")) == 5
    assert {"table.parquet", "sweep.json", "README.md", "figures", "stages"} <= {p.name for p in folder.iterdir()}
    assert {f"pgr.{ending}" for ending in ("png", "svg", "pdf", "csv")} <= {
        p.name for p in (folder / "figures").iterdir()
    }


def test_without_predictions_nothing_leads_to_stages(tmp_path):
    store = build(tmp_path / "store", EMPTY)
    assert export(store, "--out", tmp_path / "folder") == 0
    page = Outside()
    page.feed((tmp_path / "folder" / "report.html").read_text())
    assert all((tmp_path / "folder" / link).is_file() for link in page.links)
    assert not (tmp_path / "folder" / "stages").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_is_there_is_not_overwritten(tmp_path, capsys):
    store = build(tmp_path / "store", EMPTY)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    assert export(store, "--out", tmp_path / "full") == 1
    assert "is there already" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


@pytest.mark.slow
def test_the_report_of_a_store_names_no_folder_either(tmp_path):
    store = build(tmp_path / "store", EMPTY)
    name_folders(store)
    written = write_results(store, collect(store, NAME), store.sweep(NAME))
    paths = [written.html, *written.tables.values()]
    assert not [path for path in folders_in(store.sweep(NAME), str(store.root)) if path in paths]


@pytest.mark.parametrize("home", ["/home/ada", "/"])
def test_a_home_folder_is_short_and_a_root_is_none(tmp_path, monkeypatch, home):
    monkeypatch.setenv("HOME", home)
    store = build(tmp_path / "store", EMPTY)
    name_folders(store)
    command = relocate(store, collect(store, NAME)).record["command"]
    assert command[1] == "store=STORE"
    assert command[2] == {"/home/ada": "data_root=~/data", "/": "data_root=//data"}[home]
    assert json.dumps(command)


def test_a_folder_is_hidden_where_its_whole_name_stands(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    store, root = Store(tmp_path), str(tmp_path)
    for text, shown in {
        f"store={root}": "store=STORE",
        f"{root}/stages": "STORE/stages",
        f"'{root}'": "'STORE'",
        f"see {root}.": "see STORE.",
        f"{root}2/x": f"{root}2/x",
        f"{root}.old/x": f"{root}.old/x",
        f"/mnt{root}/x": f"/mnt{root}/x",
        "path=/home/ada/x": "path=~/x",
        "/mnt/home/ada/x": "/mnt/home/ada/x",
    }.items():
        assert hide(store, text) == shown
