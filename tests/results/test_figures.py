"""What a reader of a figure relies on: colours that can be told apart, rates within [0, 1], honest captions."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tests.results_store import LOSSES, NAME, Shape, build
from w2s_sweep.metrics import Interval
from w2s_sweep.results.collect import collect
from w2s_sweep.results.figures import choose_plots, draw_curves, draw_scaling
from w2s_sweep.results.figures.by_task import STEP, TALLEST, Rows
from w2s_sweep.results.figures.curves import MOST
from w2s_sweep.results.figures.facets import average, facts
from w2s_sweep.results.figures.style import INK, MODELS, ON_DARK, PALETTE
from w2s_sweep.results.records import ONE, SEVERAL
from w2s_sweep.results.report import write_results

VISION = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""How linear RGB is seen (Machado, Oliveira and Fernandes 2009)."""
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def seen(color: str, vision: str) -> np.ndarray:
    """CIE Lab of a colour as somebody sees it; 2.3 apart is just noticeable."""
    part = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    light = XYZ @ np.clip(np.array(VISION[vision]) @ linear, 0, 1) / (0.9505, 1, 1.089)
    x, y, z = np.where(light > 216 / 24389, np.cbrt(light), (24389 / 27 * light + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize(("tasks", "settings"), [(1, 1), (5, 3), (10, 14), (40, 30)])
def test_panels_by_task_stay_on_a_page_and_points_in_their_tasks(tasks, settings):
    rows = Rows.of(tasks, settings)
    assert tasks * rows.height <= TALLEST
    assert rows.step <= STEP
    assert rows.offset(settings - 1) == pytest.approx(-rows.offset(0))
    assert rows.offset(settings - 1) + rows.step / rows.height / 2 < 0.5


LIGHT_INK = "#e6e8eb"
"""Text of the dark page."""


def on_dark(color: str) -> str:
    """What the report shows on its dark page."""
    return ON_DARK.get(color.lower(), color)


def luminance(color: str) -> float:
    """Of WCAG 2.2, 0 to 1."""
    part = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return float(np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("color", [*PALETTE, *MODELS])
def test_a_colour_is_seen_on_the_dark_page(color):
    assert (luminance(on_dark(color)) + 0.05) / (luminance("#15171a") + 0.05) >= 3


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(
    "colors",
    [(*PALETTE, INK), (*MODELS, INK), (*map(on_dark, PALETTE), LIGHT_INK), (*map(on_dark, MODELS), LIGHT_INK)],
    ids=["settings", "models", "settings on dark", "models on dark"],
)
def test_colours_can_be_told_apart_by_everybody(colors, vision):
    distance = {pair: np.linalg.norm(np.subtract(*(seen(c, vision) for c in pair)))
                for pair in itertools.combinations(colors, 2)}  # fmt: skip
    assert min(distance.values()) > 15, min(distance, key=lambda pair: distance[pair])


def test_a_colour_is_not_a_loss_here_and_a_supervisor_there():
    assert not set(PALETTE) & set(MODELS)


RISING = ((0.5, 0.6, 0.6), (0.55, 0.8, 0.8), (0.6, 0.7, 0.9))
PAIRS = Shape(
    weak=("w14", "w70"), strong=("s410", "s1000"), losses=LOSSES[:2], seeds=(0, 1), n_test=40,
    share=(0.6, 0.7, 0.95), datasets=("sciq", "boolq"),
)  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return collect(build(tmp_path_factory.mktemp("pairs"), PAIRS), NAME)


@pytest.mark.slow
def test_an_interval_of_a_mean_over_tasks_is_within_what_a_rate_can_be(pairs):
    first, second = (g for g in pairs.groups[:2])
    scores = [replace(first, student=Interval(value)) for value in (0.99, 0.99, 0.1)]
    (merged,) = average(scores, lambda g: g.pair)
    student = merged.student
    assert (student.value, student.low, student.high) == (pytest.approx(2.08 / 3), 0.0, 1.0)
    (merged,) = average(scores[1:], lambda g: g.pair)
    assert (merged.student.low, merged.student.high) == (None, None), "that of two tasks is the whole axis"
    (merged,) = average([replace(g, pgr=Interval(v)) for g, v in zip((first,) * 3, (0.1, 0.2, 9.0), strict=True)],
                        lambda g: g.pair)  # fmt: skip
    assert merged.pgr.value == 0.2, "the PGR over tasks is their median in every figure and table"
    assert second.pair == first.pair


@pytest.mark.slow
def test_a_caption_says_what_intervals_are_over(tmp_path, pairs):
    assert f"over {SEVERAL}" in facts(pairs)
    assert ONE not in facts(pairs)
    shape = Shape(datasets=("sciq", "boolq"), seeds=(0, 1), missing=("student w14 s410 boolq 0 1",))
    assert f"over {SEVERAL} or {ONE}" in facts(collect(build(tmp_path, shape), NAME))
    alone = collect(build(tmp_path / "alone", Shape()), NAME)
    assert f"over {ONE}" in facts(alone)
    assert SEVERAL not in facts(alone)


def test_supervisors_at_one_size_stand_beside_each_other(pairs):
    groups = tuple(g for g in pairs.groups if g.dataset == "sciq")
    top = draw_scaling(replace(pairs, groups=groups)).axes[0]
    upright = [line for line in top.lines if len({*line.get_xdata()}) == 1 and len(line.get_xdata()) == 2]
    places = [line.get_xdata()[0] for line in upright]
    assert len(places) == len(set(places)) > 4


@pytest.mark.slow
def test_no_panel_is_empty_without_a_word(tmp_path):
    shape = replace(PAIRS, share=(0.7, 0.7, 0.7))
    figure = draw_scaling(collect(build(tmp_path, shape), NAME))
    assert sum("not identified" in text.get_text() for axis in figure.axes for text in axis.texts) == 2


@pytest.mark.slow
def test_a_report_of_many_stages_says_where_their_losses_are(tmp_path):
    few, many = Shape(seeds=(0,)), Shape(seeds=range(MOST // 3 + 1), n_test=10)
    for shape, told in ((few, False), (many, True)):
        store = build(tmp_path / str(told), shape)
        page = write_results(store, collect(store, NAME), store.sweep(NAME)).html.read_text()
        assert (f"Training losses of {3 * (MOST // 3 + 1)} stages" in page) == told


def lines_of(axis, color):
    return [line for line in axis.lines if line.get_color() == color and len(line.get_xdata()) > 2]


@pytest.mark.slow
def test_curves_lie_between_the_final_supervisor_and_ceiling_and_the_right_axis_is_the_pgr(tmp_path):
    shape = Shape(losses=LOSSES[:2], seeds=(0, 1), n_test=400, share=(0.3, 0.35, 0.45), curve=RISING)
    results = collect(build(tmp_path, shape), NAME)
    assert "curves" in {plot.name for plot in choose_plots(results)}
    figure = draw_curves(results)
    top, below = figure.axes
    for number in range(2):
        (line,) = lines_of(top, PALETTE[number])
        assert list(line.get_xdata()) == [10, 20, 30]
        assert list(line.get_ydata()) == pytest.approx([0.6, 0.8, 0.7])
        (errors,) = lines_of(below, PALETTE[number])
        assert list(errors.get_ydata()) == pytest.approx([1, 0.5, 0.75])
    assert {line.get_ydata()[0] for line in top.lines if len(line.get_xdata()) == 2} == {0.6, 0.9}
    (right,) = top.child_axes
    figure.draw_without_rendering()
    assert list(right.get_ylim()) == pytest.approx([(y - 0.6) / 0.3 for y in top.get_ylim()])
    assert max(top.get_ylim()) < 1.05


@pytest.mark.slow
def test_curves_of_too_many_panels_are_averaged_over_tasks_and_those_that_are_absent_are_counted(tmp_path):
    shape = Shape(datasets=[f"t{i}" for i in range(25)], n_test=40, share=(0.3, 0.35, 0.45), curve=RISING)
    figure = draw_curves(collect(build(tmp_path, shape), NAME))
    text = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert "mean over 25 tasks" in text
    (line,) = lines_of(figure.axes[0], PALETTE[0])
    assert list(line.get_ydata()) == pytest.approx([0.6, 0.8, 0.7])
    without = collect(build(tmp_path / "none", Shape()), NAME)
    assert "curves" not in {plot.name for plot in choose_plots(without)}


@pytest.mark.slow
def test_a_report_counts_settings_without_a_curve_and_names_no_folder_of_the_machine(tmp_path):
    for name, shape, told in (("none", Shape(), True), ("all", Shape(curve=RISING), False)):
        store = build(tmp_path / name, shape)
        page = write_results(store, collect(store, NAME), store.sweep(NAME)).html.read_text()
        assert ("no curve of 1 of 1 setting." in page) == told
        assert str(tmp_path) not in page


@pytest.mark.parametrize("shape", [Shape(), Shape(strong=("s410", "s1000"), datasets=("sciq", "boolq"))])
def test_a_metric_that_no_cell_has_is_drawn_without_a_point(tmp_path, shape):
    store = build(tmp_path, replace(shape, metric="question_accuracy", n_test=20))  # rows that answer no questions
    results = collect(store, NAME)
    assert {g.student.value for g in results.groups} == {None}
    for plot in choose_plots(results):
        plot.draw(results)
