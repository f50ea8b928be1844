"""Figures and the report: self-contained, no NaN, sensible for one cell and for hundreds."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.results_store import LOSSES, NAME, Shape, build, made_up, put_stage
from w2s_sweep.launch.conclude import conclude
from w2s_sweep.metrics import Interval
from w2s_sweep.results.collect import collect
from w2s_sweep.results.cost import cost_of, summaries_of
from w2s_sweep.results.figures import draw_tasks, save_figures
from w2s_sweep.results.figures.curves import MOST, learning_curves, polyline
from w2s_sweep.results.figures.facets import MOST_PANELS, facets
from w2s_sweep.results.figures.scatter import task_points
from w2s_sweep.results.figures.style import encode, whisker
from w2s_sweep.results.report import PAGE_ROWS, ReportPaths, inline_svg, name_class, page_in, render, write_results
from w2s_sweep.results.tables.files import file_names
from w2s_sweep.results.tables.lines import remarks
from w2s_sweep.store import Store

GRID = Shape(weak=("w14", "w70"), strong=("s410", "s1000"), losses=LOSSES[:2], seeds=(0, 1), n_test=40)


def write_report(store: Store) -> ReportPaths:
    return write_results(store, collect(store, NAME), store.sweep(NAME))


class Outside(HTMLParser):
    """Collects what a page would load, and checks that tags are closed."""

    VOID = frozenset({"meta", "link", "br", "hr", "img", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.loads += [tag] if tag in {"link", "img", "iframe", "image", "object"} else []
        outside = [v for k, v in attrs if k in {"src", "href", "xlink:href"} and not (v or "").startswith("#")]
        self.links += outside if tag == "a" else []
        self.loads += outside if tag != "a" else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.slow
def test_report_is_one_file_that_loads_nothing(tmp_path):
    paths = write_report(build(tmp_path, GRID))
    text = paths.html.read_text()
    page = Outside()
    page.feed(text)
    assert page.loads == []
    assert page.open == []
    keys = {key for row in collect_rows(tmp_path) for key in (row.weak_key, row.student_key, row.ceiling_key)}
    files = {paths.html.parent / name for name in file_names()}
    files |= {path for f in paths.figures for path in (f.png, f.svg, f.pdf, f.csv)}
    assert {(paths.html.parent / link).resolve() for link in page.links} == {
        tmp_path / "stages" / key for key in keys
    } | files
    assert all(path.is_file() for path in files)
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"@import|url\((?!#)", text)
    names = ["pgr", "accuracy", "heat", "scaling", "strength", "agreement", "calibration", "gain"]
    assert [f.name for f in paths.figures] == names
    assert all(p.stat().st_size > 1000 for f in paths.figures for p in (f.png, f.svg, f.pdf))
    assert text.count("<svg") == len(names) + len(keys)  # figures, and a learning curve of each stage


def test_rows_beyond_the_first_are_text_that_no_browser_lays_out(tmp_path):
    store = build(tmp_path, Shape())
    found = collect(store, NAME)
    many = replace(found, rows=tuple(replace(found.rows[0], cell=i, seed=i) for i in range(PAGE_ROWS + 30)))
    text = render(store, many, [], page_in(store, tmp_path))
    page = Outside()
    page.feed(text)
    assert page.open == []
    drawn, rest = text.split('<script type="text/plain" class="rows">')
    cells = drawn[drawn.index('<section id="cells">') :]
    assert cells.count("<tr") == 1 + PAGE_ROWS
    assert rest[: rest.index("</script>")].count("<tr") == 30
    assert f"const PAGE = {PAGE_ROWS};" in text


def collect_rows(root):
    return collect(Store(root), NAME).rows


@pytest.mark.slow
def test_report_holds_command_keys_reasons_and_failures(tmp_path):
    shape = replace(
        GRID,
        weak=("w14",),
        share=(0.8, 0.7, 0.8),
        failed=("student w14 s410 sciq 1 0",),
        missing=("ceiling s1000 sciq 1",),
    )
    text = write_report(build(tmp_path, shape)).html.read_text()
    rows = collect_rows(tmp_path)
    assert "launch.py -m seed=0,1" in text
    assert all(key in text for row in rows for key in (row.weak_key, row.student_key, row.ceiling_key))
    assert rows[-1].note in text
    assert next(row.unidentified for row in rows if row.unidentified) in text
    assert "W2SError: the loss became nan" in text
    assert not re.search(r"\bnan\b", text.replace("became nan", "").lower())


@pytest.mark.slow
def test_text_from_outside_cannot_become_markup(tmp_path):
    store = build(tmp_path, Shape(datasets=("<script>x</script>",), seeds=(0, 1)))
    text = write_report(store).html.read_text()
    assert text.count("<script") == 1
    assert "<script>x" not in text


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        Shape(),
        Shape(share=(0.8, 0.7, 0.8), seeds=(0, 1)),
        Shape(missing=("weak w14 sciq 0",)),
        Shape(seeds=(0, 1), metric="auroc"),
        Shape(datasets=tuple(f"a-task-with-a-rather-long-name-{i}" for i in range(2))),
    ],
    ids=["one cell", "none identified", "nothing finished", "auroc", "long names"],
)
def test_every_shape_of_sweep_gets_a_report(tmp_path, shape):
    paths = write_report(build(tmp_path, shape))
    finished = any(row.state == "done" for row in collect_rows(tmp_path))
    assert bool(paths.figures) == finished
    assert all("nan" not in f.svg.read_text().lower() for f in paths.figures)


@pytest.mark.slow
def test_every_task_is_a_point_and_those_without_a_pgr_are_drawn_too(tmp_path):
    tasks = ("sciq", "boolq", "wic", "cola")
    store = build(tmp_path, Shape(datasets=tasks, losses=LOSSES[:2], seeds=(0, 1), n_test=40))
    worse = [row for row in collect(store, NAME).rows if row.dataset == "cola"]
    for key in {row.ceiling_key for row in worse}:
        store.quarantine(key)
        seed = next(row.seed for row in worse if row.ceiling_key == key)
        put_stage(store, key, "worse", made_up(np.random.default_rng(seed).integers(0, 2, 40), np.arange(40) < 8))
    results = collect(store, NAME)
    points = task_points(results)
    assert [(p.task, p.variant) for p in points] == [(g.dataset, g.loss) for g in results.groups]
    assert {p.task for p in points if p.pgr is None} == {"cola"}
    assert all(p.gap == pytest.approx(0.2) for p in points if p.task != "cola")
    svg = encode(draw_tasks(results))["svg"].decode()
    drawn = [text.split(",")[0] for text in svg.split("<title>")[1:]]
    assert sorted(drawn) == sorted([*tasks, *tasks])


@pytest.mark.slow
def test_too_many_panels_are_averaged_and_the_title_says_so(tmp_path):
    store = build(tmp_path, Shape(datasets=tuple(f"t{i}" for i in range(MOST_PANELS + 1)), n_test=40))
    shown = facets(collect(store, NAME))
    assert len(shown.panels) == 1
    assert f"mean over {MOST_PANELS + 1} tasks" in shown.note
    assert len(shown.panels[0].groups[0].ratios) == MOST_PANELS + 1


@pytest.mark.slow
def test_figures_are_the_same_files_for_the_same_results(tmp_path):
    results = collect(build(tmp_path, Shape(seeds=(0, 1))), NAME)
    first = [f.svg.read_bytes() for f in save_figures(results, tmp_path / "a")]
    assert first == [f.svg.read_bytes() for f in save_figures(results, tmp_path / "b")]


def test_learning_curves_stay_in_their_box_and_out_of_large_reports(tmp_path):
    store = build(tmp_path, Shape(seeds=(0, 1)))
    stages = store.read_sweep(NAME)["stages"]
    curves = learning_curves(store, stages)
    assert {c.key for c in curves} == set(stages)
    assert all((c.steps, c.first) == (5, 0.7) for c in curves)
    assert (
        learning_curves(store, {f"{i}": {"kind": "probe", "label": "", "role": "weak"} for i in range(MOST + 1)}) == []
    )
    points = [tuple(map(float, p.split(","))) for p in polyline([(i, i % 7) for i in range(1000)]).split()]
    assert len(points) <= 151
    assert all(0 <= x <= 220 and 0 <= y <= 64 for x, y in points)


@pytest.mark.parametrize(("upright", "marks"), [(False, "<>"), (True, "v^")])
def test_an_interval_beyond_the_axis_ends_in_an_arrow(upright, marks):
    axis = Figure().subplots()
    whisker(axis, Interval(0.5, -3.0, 0.8), 0, "k", upright=upright, limits=(0.0, 1.0))
    line, arrow = axis.lines
    assert list(line.get_ydata() if upright else line.get_xdata()) == [0.0, 0.8]
    assert arrow.get_marker() == marks[0]
    whisker(axis, Interval(0.5, 0.1, 2.0), 1, "k", upright=upright, limits=(0.0, 1.0))
    assert axis.lines[-1].get_marker() == marks[1]
    whisker(axis, Interval(0.5, 0.1, 0.9), 2, "k", upright=upright, limits=(0.0, 1.0))
    assert len(axis.lines) == 5


@pytest.mark.slow
def test_a_stage_that_stopped_early_shows_what_it_was_judged_by(tmp_path):
    store = build(tmp_path, Shape())
    stages = store.read_sweep(NAME)["stages"]
    assert not any(curve.validation for curve in learning_curves(store, stages))
    key = next(iter(stages))
    rows = [{"step": 2, "total": 5, "validation": 0.5}, {"step": 4, "total": 5, "validation": 0.75}]
    before = store.quarantine(key)
    with store.attempt(key) as out:
        shutil.copytree(before, out, dirs_exist_ok=True)
        with (out / "metrics.jsonl").open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    (shown,) = (curve for curve in learning_curves(store, stages) if curve.key == key)
    points = [tuple(map(float, p.split(","))) for p in shown.validation.split()]
    assert shown.best == 0.75
    assert [x for x, _ in points] == [4 + 212 / 4, 4 + 212 * 3 / 4]  # under the same steps of the loss
    assert points[0][1] > points[1][1]
    html = write_report(store).html.read_text()
    assert html.count('class="validation"') == 1
    assert "validation up to .750" in html


@pytest.mark.slow
def test_conclude_prints_writes_and_returns_a_row_per_cell(tmp_path):
    from rich.console import Console

    store = build(tmp_path, Shape(seeds=(0, 1)))
    console = Console(record=True, width=100)
    rows = conclude(console, store, NAME)
    assert [row.ratio for row in rows] == pytest.approx([0.5, 0.5])
    assert "report.html" in console.export_text()
    names = {p.name for p in store.sweep(NAME).iterdir()}
    assert {"report.html", "table.csv", "table.json", "table.md", "table.parquet", "figures"} <= names


def test_the_report_tells_what_it_took_where_downloads_are_and_who_needs_what_failed(tmp_path):
    store = build(tmp_path, Shape(seeds=(0, 1), losses=LOSSES[:2], failed=("weak w14 sciq 1",)))
    key = next(
        key for key, about in store.read_sweep(NAME)["stages"].items() if about["label"] == "ceiling s410 sciq 0"
    )
    path = store.path(key) / "summary.json"
    about = {
        "seconds": 60.0,
        "seconds of all runs": 5400.0,
        "device": "cuda",
        "device name": "H200",
        "processes": 2,
        "torch": "2.9.0",
    }
    path.write_text(json.dumps(about))
    cost = cost_of(summaries_of(store, store.read_sweep(NAME)["stages"]))
    assert cost.hours("GPU") == pytest.approx(3.0)
    assert cost.hours("CPU") == pytest.approx(6 * 1.5 / 3600)
    assert cost.torch == ("2.9.0",)
    page = render(store, collect(store, NAME), [], page_in(store, store.sweep(NAME)))
    assert "<b>3.0 h</b><span>on GPUs, of finished stages</span>" in page
    assert "2 cells need it: 2, 3" in page
    assert '<a href="groups.csv" download>' in page


@pytest.mark.slow
def test_text_of_every_mark_is_there_for_the_pointer(tmp_path):
    results = collect(build(tmp_path, Shape(n_test=40)), NAME)
    (figure,) = (f for f in save_figures(results, tmp_path / "figures") if f.name == "accuracy")
    svg = inline_svg(figure)
    assert svg.count("<title>w14 → s410, ") == 3
    assert "<title>w14 → s410, ceiling: .800" in svg


def test_a_short_name_in_a_table_is_not_broken():
    assert name_class("pythia-14m → pythia-2.8b") == "name short"
    assert name_class("a model with a long name → another one") == "name"


def test_what_is_left_out_of_the_remarks_is_counted_and_the_report_has_more_of_them(tmp_path):
    results = collect(build(tmp_path, Shape(n_test=20)), NAME)
    rows = tuple(replace(results.rows[0], state="failed", note=f"reason {i}") for i in range(9))
    failed = replace(results, rows=rows)
    assert remarks(failed, most=2)[-1] == "failed: more in the tables (7 cells)."
    assert sum(line.startswith("failed (1 cell): reason") for line in remarks(failed, most=12)) == 9
