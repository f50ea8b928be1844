"""`w2s report`: one sweep writes its report, several are joined, a format is printed and nothing else."""

import csv
import io
import json

import pytest

from tests.results_store import LOSSES, NAME, Shape, build
from w2s_sweep.cli import main
from w2s_sweep.results.collect import collect
from w2s_sweep.results.tables.lines import number, p_text
from w2s_sweep.results.tables.written import escape_latex
from w2s_sweep.store.files import write_json


@pytest.fixture
def root(tmp_path):
    """A store with the sweep NAME and, of its last task, the sweep `second`."""
    store = build(tmp_path / "store", Shape(losses=LOSSES[:2], datasets=("sciq", "boolq"), n_test=40))
    record = store.read_sweep(NAME)
    first, second = record["cells"][:2], record["cells"][2:]
    code = {"version": "0.1.0", "commit": "c0ffee", "changed": True}
    write_json(store.sweep(NAME) / "sweep.json", record | {"cells": first, "code": code})
    write_json(store.sweep("second") / "sweep.json", record | {"name": "second", "cells": second, "command": ["other"]})
    return store.root


def report(root, *arguments) -> int:
    return main(["--store", str(root), "report", *arguments])


def test_a_format_prints_the_table_alone(root, capsys):
    for kind in ("csv", "json", "md"):
        assert report(root, NAME, "--format", kind) == 0
        text = capsys.readouterr().out
        if kind == "csv":
            assert [row["loss"] for row in csv.DictReader(io.StringIO(text))] == ["xent", "confidence"]
        elif kind == "json":
            assert len(json.loads(text)["cells"]) == 2
        else:
            assert "| loss | seeds | weak | student | ceiling | gap [95 %] | PGR [95 %] |" in text.splitlines()
    assert [path.name for path in (root / "sweeps" / NAME).iterdir()] == ["sweep.json"]


@pytest.mark.slow
def test_sweeps_are_joined_into_one_table_and_one_report_with_all_commands(root, tmp_path, capsys):
    assert report(root, NAME, "second", "--format", "md", "--out", str(tmp_path / "joined")) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"# {NAME} + second\n")
    assert "## Compared in pairs, over all tasks" in text
    assert "| all 2 tasks |" in text
    page = (tmp_path / "joined" / "report.html").read_text()
    assert "launch.py -m" in page
    assert "<pre>other</pre>" in page
    assert "commit c0ffee with local changes" in page
    assert "not recorded" in page
    assert 'href="../store/stages/' in page
    assert (tmp_path / "joined" / "table.md").read_text() == text


def test_why_lays_one_pgr_open_with_its_seeds_covariance_decision_and_folders(tmp_path, capsys):
    store = build(tmp_path / "store", Shape(losses=LOSSES[:2], seeds=(0, 1), missing=("ceiling s410 sciq 1",)))
    assert report(store.root, NAME, "--why", "3") == 0
    text = capsys.readouterr().out
    row = collect(store, NAME).rows[1]
    for part in ("confidence", "missing: ceiling not finished", "100 groups of test examples", "One seed", "PGR .50 ["):
        assert part in text
    assert all(str(store.path(key)) in text for key in (row.weak_key, row.student_key, row.ceiling_key))
    assert report(store.root, NAME, "--why", "4") == 1
    assert "Allowed: 0 to 3" in capsys.readouterr().err


def test_why_says_what_is_lacking_where_there_is_no_pgr(tmp_path, capsys):
    store = build(tmp_path / "store", Shape(share=(0.8, 0.7, 0.8), seeds=(0, 1, 2)))
    assert report(store.root, NAME, "--why", "0") == 0
    text = capsys.readouterr().out
    assert "3 seeds" in text
    assert "PGR not identified: the gap is not told from 0: 0.0000 [" in text


def test_an_unknown_sweep_is_refused_with_those_there_are(root, capsys):
    assert report(root, NAME, "third") == 1
    assert "second" in capsys.readouterr().err


def test_numbers_have_no_negative_zero_and_small_p_are_bounds():
    assert [number(v) for v in (-0.0001, 0.0, 0.5, -0.25, 1.5, None)] == [".000", ".000", ".500", "-.250", "1.500", "-"]
    assert [p_text(p) for p in (None, 0.0002, 0.25, 1.0)] == ["-", "<.001", ".250", "1.000"]


def test_latex_is_set_as_it_is_written(root, capsys):
    assert report(root, NAME, "--format", "latex") == 0
    text = capsys.readouterr().out
    assert r"loss & seeds & weak & student & ceiling & gap [95 \%] & PGR [95 \%] \\" in text
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 3
    assert escape_latex("a_b & 5 % → -.02 [-.10, .06] m-1\n$x$") == (
        r"a\_b \& 5 \% $\to$ $-$.02 [$-$.10, .06] m-1 \$x\$"
    )
    assert escape_latex("\\{^~}") == r"\textbackslash{}\{\textasciicircum{}\textasciitilde{}\}"
