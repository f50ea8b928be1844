"""Figures of the same results are drawn once."""

from dataclasses import replace

import pytest

from tests.results_store import NAME, Shape, build
from w2s_sweep.metrics import METRICS
from w2s_sweep.results import figures, processes
from w2s_sweep.results.collect import collect
from w2s_sweep.results.figures import BARS, GAIN, PGR, save_figures, saved
from w2s_sweep.results.figures.look import REPORT, choose
from w2s_sweep.results.figures.saved import (
    CAPTIONS,
    FILES,
    RECORD,
    digest_code,
    find_kept,
    fingerprint,
    keep,
    write_figure,
)
from w2s_sweep.results.usage import usage_of


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return build(tmp_path_factory.mktemp("store"), Shape(seeds=(0, 1), n_test=40))


@pytest.fixture(scope="module")
def results(store):
    return collect(store, NAME)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, results):
    """A folder with one figure."""
    folder = tmp_path_factory.mktemp("figures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "choose_plots", lambda results: [BARS])  # one will do; all of them take seconds
        return folder, save_figures(results, folder)


def written(folder):
    """What is replaced when a file is written anew."""
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir()}


def test_the_same_results_are_not_drawn_again(drawn, results, monkeypatch):
    folder, saved = drawn
    monkeypatch.setattr(figures, "run_beside", lambda works: pytest.fail("it draws") if works else [])
    before = written(folder)
    assert save_figures(results, folder) == saved
    assert written(folder) == before
    assert {*before} == {RECORD, CAPTIONS, *(path.name for path in saved[0].paths.values())}


@pytest.mark.parametrize("name", ["accuracy.png", "accuracy.svg", "accuracy.pdf", "accuracy.csv", CAPTIONS, RECORD])
@pytest.mark.parametrize("damage", ["absent", "changed"])
def test_a_file_that_is_not_as_it_was_written_is_drawn_again(drawn, results, monkeypatch, name, damage):
    folder, _ = drawn
    monkeypatch.setattr(figures, "choose_plots", lambda results: [])  # tells that it would draw: there are none then
    path = folder / name
    content = path.read_bytes()
    path.unlink() if damage == "absent" else path.write_bytes(content[:-9])
    assert save_figures(results, folder) == []
    path.write_bytes(content)
    assert len(save_figures(results, folder)) == 1


def test_what_figures_show_is_in_their_fingerprint_and_the_command_is_not(results):
    row = results.rows[0]
    other_row = replace(row, student=replace(row.student, value=(row.student.value or 0) + 1e-12))
    own = fingerprint(results, REPORT)
    assert fingerprint(replace(results, rows=(other_row, *results.rows[1:])), REPORT) != own
    assert fingerprint(results, choose("paper", "column", None)) != own
    assert fingerprint(replace(results, record={}), REPORT) == own


def test_what_the_work_took_has_nothing_drawn_again(store, results):
    used = usage_of(store, results.record)
    assert used
    assert fingerprint(replace(results, usage=used), REPORT) == fingerprint(results, REPORT)


def test_a_file_that_another_process_wrote_meanwhile_is_not_taken_for_ones_own(tmp_path):
    about = {"name": "accuracy", "caption": "c", "title": "t", "note": "n"}
    figure = write_figure(tmp_path, about, dict.fromkeys(FILES, b"mine"))
    keep(tmp_path, "these", [figure])
    assert find_kept(tmp_path, "these") == [figure]
    figure.png.write_bytes(b"theirs")
    keep(tmp_path, "these", [figure])
    assert find_kept(tmp_path, "these") is None


@pytest.mark.parametrize("name", ["label", "axis", "bounds", "name"])
def test_what_a_metric_is_called_and_can_be_is_in_the_fingerprint(results, monkeypatch, name):
    own, metric = fingerprint(results, REPORT), METRICS[results.rows[0].metric]
    monkeypatch.setattr(type(metric), name, (-1.0, 1.0) if name == "bounds" else "another")
    assert fingerprint(results, REPORT) != own


@pytest.mark.parametrize("library", ["matplotlib", "numpy", "scipy"])
def test_the_code_that_draws_is_in_the_fingerprint_with_its_libraries(results, monkeypatch, library):
    own, version = fingerprint(results, REPORT), saved.version
    assert digest_code() == saved.CODE
    monkeypatch.setattr(saved, "version", lambda name: "0.0" if name == library else version(name))
    monkeypatch.setattr(saved, "CODE", digest_code())
    assert fingerprint(results, REPORT) != own


@pytest.mark.slow
def test_figures_that_are_drawn_beside_each_other_are_the_same_files(results, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "choose_plots", lambda results: [BARS, PGR, GAIN])
    found = []
    for count in (1, 2):
        monkeypatch.setattr(processes, "count_processes", lambda count=count: count)
        drawn = save_figures(results, tmp_path / str(count))
        assert [figure.name for figure in drawn] == ["accuracy", "pgr", "gain"]
        found.append({path.name: path.read_bytes() for path in (tmp_path / str(count)).iterdir()})
    assert found[0] == found[1]
