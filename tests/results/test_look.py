"""Every figure, for whomever it is drawn: nothing is cut off, empty or beyond what a rate can be, and its numbers lie
beside it."""

import csv
import itertools
from dataclasses import replace

import pytest

from tests.results_store import LOSSES, NAME, Shape, build
from w2s_sweep.cli import main
from w2s_sweep.metrics import Interval
from w2s_sweep.results.collect import collect
from w2s_sweep.results.collected import Results
from w2s_sweep.results.figures import choose_plots, save_figures
from w2s_sweep.results.figures.agreement import draw_agreement, shares
from w2s_sweep.results.figures.bars import draw_bars
from w2s_sweep.results.figures.by_task import task_pgrs
from w2s_sweep.results.figures.calibration import bins_of, reliabilities
from w2s_sweep.results.figures.data import calibration_rows, heat_rows
from w2s_sweep.results.figures.heat import color_of_pgr, draw_heat, readable_on
from w2s_sweep.results.figures.layout import look_of, pgr_limits
from w2s_sweep.results.figures.look import LOOKS, LOWEST, REPORT, use_look
from w2s_sweep.results.figures.scaling import draw_scaling
from w2s_sweep.results.figures.scatter import draw_tasks
from w2s_sweep.results.figures.strength import draw_strength
from w2s_sweep.results.figures.style import MODELS, PALETTE, PGR_RANGE, caption
from w2s_sweep.results.records import NONE

LONG = [{"name": f"a_loss_with_a_rather_long_name_{i}"} for i in range(3)]
RISING = ((0.5, 0.6, 0.6), (0.55, 0.8, 0.8), (0.6, 0.7, 0.9))


def with_range(results: Results, low: float, high: float) -> Results:
    """The same results with intervals as wide as those of two seeds can be."""
    wide = {name: lambda v: Interval(v.value, low, high) for name in ("weak", "student", "ceiling", "pgr")}
    return replace(
        results,
        groups=tuple(replace(g, **{n: f(getattr(g, n)) for n, f in wide.items()}) for g in results.groups),
    )


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """3 losses x 2 supervisors x 2 strong models x 2 tasks, with long names; one pair has no PGR."""
    shape = Shape(
        weak=("w14", "w70"), strong=("s410", "s1000"), losses=LONG, datasets=("sciq", "a_task_with_a_long_name"),
        n_test=40, share=(0.6, 0.7, 0.95), curve=RISING,
    )  # fmt: skip
    found = collect(build(tmp_path_factory.mktemp("large"), shape), NAME)
    groups = [
        replace(g, pgr=Interval(None), unidentified="the gap is not told from 0", ratios=())
        if g.pair.startswith("w70") and g.strong_model == "s410"
        else g
        for g in found.groups
    ]
    return replace(found, groups=tuple(groups))


def drawn(results, look):
    with use_look(look):
        return {plot.name: plot.draw(results) for plot in choose_plots(results)}


@pytest.fixture(scope="module", params=[REPORT, LOOKS["paper", "column"]], ids=["report", "column"])
def figures(request, large):
    return request.param, drawn(large, request.param)


def texts_of(figure):
    inside = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axis in figure.axes:
        if axis.get_visible():
            across, up = sorted(axis.get_xlim()), sorted(axis.get_ylim())
            ticks = [t for t in axis.get_xticklabels() if across[0] <= t.get_position()[0] <= across[1]]
            ticks += [t for t in axis.get_yticklabels() if up[0] <= t.get_position()[1] <= up[1]]
            inside += [axis.title, axis._left_title, axis.xaxis.label, axis.yaxis.label, *axis.texts, *ticks]
    return [text for text in inside if text.get_text() and text.get_visible()]


@pytest.mark.slow
def test_no_panel_is_empty(figures):
    _, by_name = figures
    for name, figure in by_name.items():
        for axis in figure.axes:
            if axis.get_visible() and axis.get_label() != "<colorbar>":
                marks = [line for line in axis.lines if len(line.get_xdata())]
                marks += [*axis.collections, *axis.patches, *axis.texts]
                assert len(marks) > 2, f"{name}: {axis.get_title(loc='left')}"


@pytest.mark.slow
def test_title_and_note_stand_in_a_figure_or_in_its_captions_alone(figures):
    look, by_name = figures
    for name, figure in by_name.items():
        title, note = caption(figure)
        shown = " ".join(text.get_text().replace("\n", " ") for text in figure.texts)
        assert "n test = 40" in note, name
        assert (title in shown and note in shown) == look.heading, name
        assert bool(shown) == look.heading


@pytest.mark.slow
def test_axes_of_rates_end_where_rates_do(large):
    wide = with_range(large, -0.5, 1.7)
    for draw, side in ((draw_bars, "x"), (draw_scaling, "y"), (draw_agreement, "x")):
        axis = draw(wide).axes[0]
        low, high = getattr(axis, f"get_{side}lim")()
        assert -0.06 < low < high < 1.06, draw.__name__


@pytest.mark.slow
def test_intervals_that_leave_the_axis_are_few_at_two_seeds(tmp_path):
    shape = Shape(weak=("w14", "w70"), strong=("s410", "s1000"), losses=LOSSES, seeds=(0, 1), n_test=200)
    results = collect(build(tmp_path, shape), NAME)
    (figure,) = (plot.draw(results) for plot in choose_plots(results) if plot.name == "pgr")
    arrows = sum(
        line.get_marker() in "<>" for axis in figure.axes for line in axis.lines if len(line.get_marker()) == 1
    )
    assert len(results.groups) == 12
    assert arrows <= 2


@pytest.mark.slow
def test_a_supervisor_has_one_colour_in_all_figures_and_a_setting_too(large):
    for draw in (draw_scaling, draw_strength, draw_tasks):
        (legend,) = draw(large).legends
        colors = {t.get_text(): h.get_color() for t, h in zip(legend.get_texts(), legend.legend_handles, strict=True)}
        found = [color for label, color in colors.items() if label.startswith("supervisor w")]
        assert found == list(MODELS[:2]), draw.__name__
    half = replace(large, groups=tuple(replace(g, seeds=()) if g.loss == LONG[0]["name"] else g for g in large.groups))
    for results in (large, half):  # also while the first setting is not finished
        for name in ("by_task", "gain", "curves"):
            (plot,) = (plot for plot in choose_plots(results) if plot.name == name)
            (legend,) = plot.draw(results).legends
            handles = zip(legend.get_texts(), legend.legend_handles, strict=True)
            colors = {t.get_text().replace("\n", ""): h.get_color() for t, h in handles}
            assert colors[LONG[1]["name"]] == PALETTE[1], name


def test_settings_beyond_the_colours_have_other_markers():
    looks = [look_of(place) for place in range(24)]
    assert len(set(looks)) == 24
    assert [color for color, _ in looks[:8]] == list(PALETTE)


def test_what_is_not_finished_is_in_no_legend(large):
    """The first of two settings has no finished cell."""
    kept = [g for g in large.groups if g.loss != LONG[2]["name"]]
    half = replace(
        large, groups=tuple(replace(g, seeds=(), ceiling=NONE) if g.loss == LONG[0]["name"] else g for g in kept)
    )
    (legend,) = draw_strength(half).legends
    said = [text.get_text().replace("\n", "") for text in legend.get_texts()]
    assert LONG[1]["name"] in said
    assert LONG[0]["name"] not in said


def test_pairs_of_models_without_room_are_one_panel_of_their_median(large):
    assert {p.pair for p in task_pgrs(large)} == {g.pair for g in large.groups}
    many = [replace(g, weak_model=f"w{i}") for g in large.groups for i in range(7)]
    merged = task_pgrs(replace(large, groups=tuple(many)))
    assert {p.pair for p in merged} == {""}
    assert len(merged) == 2 * 3
    with use_look(LOOKS["paper", "column"]):
        assert len({p.pair for p in task_pgrs(large)}) == 4
    with use_look(replace(LOOKS["paper", "column"], tallest=4.0)):
        assert {p.pair for p in task_pgrs(large)} == {""}


@pytest.mark.parametrize("look", LOOKS.values(), ids=["-".join(name) for name in LOOKS])
def test_panels_become_lower_before_they_are_left_out_and_stay_on_the_page(look):
    lowest = look.fit(4, (3.0, 9.0), 1000)[1][1]
    assert lowest == LOWEST
    for rows in (1, 2):
        most = look.most_panels(4, rows=rows)
        columns, (_, height) = look.fit(4, (3.0, 9.0), most * rows)
        assert most * rows / columns * height < look.tallest
    assert look.fit(1, (3.0, 2.0))[1][1] == pytest.approx(2.0 * look.tall)
    assert REPORT.fit(4, (3.0, 9.0), 1000) == (4, (3.0, 9.0))


def test_a_pgr_axis_has_all_points_and_of_wide_intervals_half_a_gap(large):
    low, high = pgr_limits([0.2, 1.3], [-7.0, 9.0])
    assert (low, high) == pytest.approx((-0.5 - 0.04 * 2.3, 1.8 + 0.04 * 2.3))
    low, high = pgr_limits([-3.0, 5.0], [])
    assert (low, high) == pytest.approx((PGR_RANGE[0] - 0.12, PGR_RANGE[1] + 0.12))


def test_a_cell_of_the_heat_map_without_a_pgr_is_hatched_and_says_so(large):
    figure = draw_heat(large)
    axis = figure.axes[0]
    assert [patch.get_hatch() for patch in axis.patches] == [None, None, "////", None]
    assert [text.get_text() for text in axis.texts].count("none") == 1
    assert [row["pgr"] for row in heat_rows(large)[:4]] == [
        pytest.approx(2 / 7),
        pytest.approx(2 / 7),
        None,
        pytest.approx(2 / 7),
    ]


def contrast(first, second):
    lights = []
    for color in (first, second):
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
    return max(lights) / min(lights)


def test_numbers_in_a_heat_map_can_be_read_at_every_pgr():
    for pgr in (-3, 0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 1, 4):
        color = color_of_pgr(pgr)
        assert contrast(color, readable_on(color)) > 4.5


def test_what_students_take_over_is_split_by_whether_the_supervisor_is_right(tmp_path):
    results = collect(build(tmp_path, Shape(share=(0.6, 0.7, 0.95))), NAME)
    ((_, right, wrong),) = shares(results.groups)
    assert (right.value, wrong.value) == pytest.approx((1.0, 0.75))


def test_reliability_counts_every_test_example_once_a_line(large):
    """Of 2 tasks: a student has 2 x 40 examples, and a supervisor too, however many settings share it."""
    panels = reliabilities(large)
    assert set(panels) == {f"{w} → {s}" for w, s in itertools.product(("w14", "w70"), ("s410", "s1000"))}
    for lines in panels.values():
        assert len(lines) == 3 + 2
        assert {sum(counted.examples) for counted in lines.values()} == {80}
    counted = panels["w14 → s410"]["weak supervisor"]
    assert sum(counted.right) == pytest.approx(0.6 * 80)
    assert counted.error == pytest.approx(sum(abs(x - y) * n for x, y, n in bins_of(counted)) / 80)
    assert {row["line"] for row in calibration_rows(large)} >= {"weak supervisor", "ceiling"}


@pytest.mark.slow
def test_each_figure_has_its_files_and_its_numbers(tmp_path):
    results = collect(build(tmp_path, Shape(losses=LOSSES[:2], n_test=40, curve=RISING)), NAME)
    saved = save_figures(results, tmp_path / "figures")
    for figure in saved:
        assert figure.pdf.read_bytes().startswith(b"%PDF")
        rows = list(csv.DictReader(figure.csv.read_text().splitlines()))
        assert len(rows) >= 2, figure.name
        assert not any("nan" in value for row in rows for value in row.values())
        assert figure.title in (tmp_path / "figures" / "captions.md").read_text()
    by_name = {figure.name: list(csv.DictReader(figure.csv.read_text().splitlines())) for figure in saved}
    assert [float(row["student"]) for row in by_name["accuracy"]] == pytest.approx([0.7] * 2)
    assert [float(row["student"]) for row in by_name["curves"][:3]] == pytest.approx([0.6, 0.8, 0.7])


@pytest.mark.slow
def test_report_draws_for_a_paper_and_leaves_the_report_alone(tmp_path, capsys):
    store = build(tmp_path / "store", Shape(seeds=(0, 1), n_test=40))
    assert main(["--store", str(store.root), "report", NAME, "--style", "paper", "--width", "column"]) == 0
    folder = store.sweep(NAME) / "figures" / "paper-column"
    assert {path.name for path in folder.iterdir()} >= {"pgr.pdf", "pgr.svg", "pgr.png", "pgr.csv", "captions.md"}
    assert not (store.sweep(NAME) / "report.html").exists()
    assert b"/Type3" not in (folder / "pgr.pdf").read_bytes()
    assert str(folder / "pgr.pdf") in capsys.readouterr().out
    assert main(["--store", str(store.root), "report", NAME, NAME, "--style", "talk"]) == 1
    assert "--out FOLDER" in capsys.readouterr().err


def test_models_without_a_ceiling_have_no_panels_of_strength(tmp_path):
    results = collect(build(tmp_path, Shape(strong=("s410", "s1000"), seeds=(0, 1), n_test=40)), NAME)
    assert "strength" in [plot.name for plot in choose_plots(results)]
    without = replace(results, groups=tuple(replace(g, ceiling=NONE) for g in results.groups))
    assert "strength" not in [plot.name for plot in choose_plots(without)]
