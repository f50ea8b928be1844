"""Figures and the report: self-contained, no NaN, sensible for one cell and for hundreds."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.results_store import LOSSES, NAME, Shape, build
from w2s_sweep.results import conclude
from w2s_sweep.results.collect import collect
from w2s_sweep.results.curves import MOST, learning_curves, polyline
from w2s_sweep.results.figures import draw_figures
from w2s_sweep.results.report import write_report
from w2s_sweep.results.scene import MOST_PANELS, scene

GRID = Shape(weak=("w14", "w70"), strong=("s410", "s1000"), losses=LOSSES, seeds=(0, 1, 2))


class Outside(HTMLParser):
    """Collects what a page would load, and checks that tags are closed."""

    VOID = frozenset({"meta", "link", "br", "hr", "img", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.loads += [tag] if tag in {"script", "link", "img", "iframe", "image", "object"} else []
        self.loads += [v for k, v in attrs if k in {"src", "href", "xlink:href"} and not (v or "").startswith("#")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_is_one_file_that_loads_nothing(tmp_path):
    build(tmp_path, GRID)
    paths = write_report(tmp_path, NAME)
    text = paths.html.read_text()
    page = Outside()
    page.feed(text)
    assert page.loads == []
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"@import|url\((?!#)", text)
    assert [f.name for f in paths.figures] == ["pgr", "accuracy", "scaling"]
    assert all(p.stat().st_size > 1000 for f in paths.figures for p in (f.png, f.svg))
    assert text.count("<svg") == 3 + 4 * 3 + len({r.student_key for r in collect_rows(tmp_path)})


def collect_rows(root):
    from w2s_sweep.store import Store

    return collect(Store(root), NAME).rows


def test_report_holds_command_keys_reasons_and_failures(tmp_path):
    shape = replace(
        GRID, share=(0.8, 0.7, 0.8), failed=("student w14 s410 sciq 1 0",), missing=("ceiling s1000 sciq 2",)
    )
    build(tmp_path, shape)
    text = write_report(tmp_path, NAME).html.read_text()
    rows = collect_rows(tmp_path)
    assert "launch.py -m seed=0,1" in text
    assert all(key in text for row in rows for key in (row.weak_key, row.student_key, row.ceiling_key))
    assert rows[-1].note in text
    assert next(row.pgr_undefined for row in rows if row.pgr_undefined) in text
    assert "W2SError: the loss became nan" in text
    assert "nan" not in re.sub("became nan", "", text).lower().replace("finance", "")


def test_text_from_outside_cannot_become_markup(tmp_path):
    build(tmp_path, Shape(datasets=("<script>x</script>",), seeds=(0, 1)))
    text = write_report(tmp_path, NAME).html.read_text()
    assert "<script" not in text


@pytest.mark.parametrize(
    "shape",
    [
        Shape(),
        Shape(share=(0.8, 0.7, 0.8), seeds=(0, 1)),
        Shape(missing=("weak w14 sciq 0",)),
        Shape(seeds=(0, 1), metric="auroc"),
        Shape(datasets=tuple(f"a-task-with-a-rather-long-name-{i}" for i in range(3)), strong=("s410", "s1000")),
    ],
    ids=["one cell", "all undefined", "nothing finished", "auroc", "long names"],
)
def test_every_shape_of_sweep_gets_a_report(tmp_path, shape):
    build(tmp_path, shape)
    paths = write_report(tmp_path, NAME)
    finished = any(row.state == "done" for row in collect_rows(tmp_path))
    assert bool(paths.figures) == finished
    assert all("nan" not in f.svg.read_text().lower() for f in paths.figures)


def test_too_many_panels_are_averaged_and_the_title_says_so(tmp_path):
    store = build(tmp_path, Shape(datasets=tuple(f"t{i}" for i in range(MOST_PANELS + 1)), n_test=40))
    shown = scene(collect(store, NAME))
    assert len(shown.panels) == 1
    assert f"mean over {MOST_PANELS + 1} tasks" in shown.note
    assert len(shown.panels[0].groups[0].pgr_points) == MOST_PANELS + 1


def test_figures_are_the_same_files_for_the_same_results(tmp_path):
    results = collect(build(tmp_path, Shape(seeds=(0, 1))), NAME)
    first = [f.svg.read_bytes() for f in draw_figures(results, tmp_path / "a")]
    assert first == [f.svg.read_bytes() for f in draw_figures(results, tmp_path / "b")]


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


def test_conclude_prints_writes_and_returns_a_row_per_cell(tmp_path):
    from rich.console import Console

    store = build(tmp_path, Shape(seeds=(0, 1)))
    console = Console(record=True, width=100)
    rows = conclude(console, store, NAME)
    assert [row.pgr.value for row in rows] == pytest.approx([0.5, 0.5])
    assert "report.html" in console.export_text()
    names = {p.name for p in store.sweep(NAME).iterdir()}
    assert {"report.html", "table.csv", "table.md", "table.parquet", "figures"} <= names
