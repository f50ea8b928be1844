"""Figures of more settings than they can show, of which some have nothing to draw."""

from dataclasses import replace

import pytest

from tests.results_store import NAME, Shape, build
from w2s_sweep.metrics import Interval
from w2s_sweep.results.collect import collect
from w2s_sweep.results.figures.by_task import draw_by_task
from w2s_sweep.results.figures.calibration import draw_calibration
from w2s_sweep.results.figures.facets import MOST_ROWS, facets
from w2s_sweep.results.figures.heat import draw_heat
from w2s_sweep.results.figures.layout import look_of
from w2s_sweep.results.figures.look import LOOKS, use_look
from w2s_sweep.results.figures.scatter import draw_gain
from w2s_sweep.results.figures.style import caption, lay_out
from w2s_sweep.results.figures.training import draw_curves

RISING = ((0.5, 0.6, 0.6), (0.6, 0.7, 0.9))
SHAPE = Shape(strong=("s410", "s1000"), datasets=("sciq", "boolq"), n_test=40, share=(0.3, 0.35, 0.45), curve=RISING)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """1 setting x 2 strong models x 2 tasks."""
    return collect(build(tmp_path_factory.mktemp("small"), SHAPE), NAME)


def repeat(results, settings, *, tasks=("sciq", "boolq"), strong=("s410", "s1000"), seeds=(0,)):
    """The same with the losses `l0`, `l1`, ..., under which all groups, curves and answers are alike."""

    def copies(items):
        chosen = [one for one in items if one.dataset in tasks and one.strong_model in strong]
        return tuple(
            replace(one, loss=f"l{i}", group=f"{one.group} {i}", seeds=seeds) for i in range(settings) for one in chosen
        )

    groups = copies(results.groups)
    reliability = {g.group: results.reliability[g.group.split()[0]] for g in groups}
    return replace(results, groups=groups, curves=copies(results.curves), reliability=reliability)


def without(results, *, finished=(), curves=(), answers=()):
    """The same where settings with these losses have no finished cell, no curve, or no reliability."""
    groups = tuple(replace(g, seeds=()) if g.loss in finished else g for g in results.groups)
    reliability = {g.group: results.reliability[g.group] for g in groups if g.loss not in (*answers, *finished)}
    points = tuple(p for p in results.curves if p.loss not in curves)
    return replace(results, groups=groups, curves=points, reliability=reliability)


def first(count):
    return [f"l{i}" for i in range(count)]


def legend_of(figure):
    """Label -> (colour, marker)."""
    (legend,) = figure.legends
    handles = zip(legend.get_texts(), legend.legend_handles, strict=True)
    return {text.get_text(): (handle.get_color(), handle.get_marker()) for text, handle in handles}


def settings_of(figure):
    return {label: look for label, look in legend_of(figure).items() if label.startswith("l")}


def test_points_by_task_are_those_of_settings_with_a_finished_cell(small):
    figure = draw_by_task(without(repeat(small, 20), finished=first(16)))
    assert settings_of(figure) == {f"l{i}": look_of(i) for i in range(16, 20)}
    assert {line.get_color() for line in figure.axes[0].lines} >= {look_of(i)[0] for i in range(16, 20)}
    assert "more are in" not in caption(figure)[1]


def test_settings_beyond_the_most_are_those_that_have_something_to_draw(small):
    figure = draw_by_task(without(repeat(small, 20), finished=first(2)))
    assert [*settings_of(figure)] == [f"l{i}" for i in range(2, 18)]
    assert "the first 16 settings, 2 more are in by_task.csv only" in caption(figure)[1]


def test_curves_are_those_of_settings_that_have_one(small):
    figure = draw_curves(without(repeat(small, 14), curves=first(12)))
    assert settings_of(figure) == {f"l{i}": look_of(i) for i in (12, 13)}
    assert "more are in" not in caption(figure)[1]


def test_a_curve_without_a_value_takes_no_place_of_others(small):
    results = repeat(small, 14)
    unknown = tuple(replace(p, value=Interval(None)) if p.loss in first(12) else p for p in results.curves)
    assert [*settings_of(draw_curves(replace(results, curves=unknown)))] == ["l12", "l13"]


def test_calibration_shows_and_names_settings_that_have_answers_and_its_axes_hold_those_alone(small):
    results = without(repeat(small, 14), answers=first(12))
    assert settings_of(draw_calibration(results)) == {f"l{i}": look_of(i) for i in (12, 13)}
    results = repeat(small, 14)
    left_out = {g.group for g in results.groups if g.loss in ("l12", "l13")}
    low = replace(results.reliability[results.groups[0].group]["student"], confidence=(0.5, *[0.0] * 14))
    low = replace(low, examples=(40, *[0] * 14), right=(1.0, *[0.0] * 14))
    odd = {name: roles | {"student": low} if name in left_out else roles for name, roles in results.reliability.items()}
    drawn, plain = draw_calibration(replace(results, reliability=odd)), draw_calibration(results)
    assert drawn.axes[0].get_xlim() == plain.axes[0].get_xlim()
    assert drawn.axes[0].get_ylim() == plain.axes[0].get_ylim()


def test_no_panel_of_calibration_has_no_setting_and_those_are_counted(small):
    results = repeat(small, 14)
    kept = tuple(g for g in results.groups if (g.strong_model == "s1000") == (g.loss in ("l12", "l13")))
    figure = draw_calibration(replace(results, groups=kept))
    assert [axis.get_title(loc="left") for axis in figure.axes if axis.get_visible()] == ["w14 → s410"]
    assert "1 more panels are not drawn" in caption(figure)[1]


def test_a_heat_map_has_no_panel_of_a_setting_without_a_finished_cell(small):
    figure = draw_heat(without(repeat(small, 11), finished=first(9)))
    shown = [axis for axis in figure.axes if axis.get_visible() and axis.get_label() != "<colorbar>"]
    assert [axis.get_title(loc="left") for axis in shown] == ["l9", "l10"]


def test_titles_of_a_heat_map_end_before_its_key_in_a_column_of_a_talk(small):
    named = {"l0": "xent", "l1": "confidence(alpha_max=.75)"}
    results = repeat(small, 2)
    groups = tuple(replace(g, loss=named[g.loss], weak_model=f"pythia-{g.weak_model}") for g in results.groups)
    with use_look(LOOKS["talk", "column"]):
        figure = draw_heat(replace(results, groups=groups))
        lay_out(figure)
    *panels, key = figure.axes
    assert "xent" in {axis.get_title(loc="left") for axis in panels}
    for axis in panels:
        assert not axis._left_title.get_window_extent().overlaps(key.get_window_extent())


def test_the_legend_of_gains_is_of_what_is_drawn_and_can_be_read(small):
    figure = draw_gain(without(repeat(small, 20), finished=first(2)))
    assert len(settings_of(figure)) == 16
    assert "the first 16 settings" in caption(figure)[1]


def test_panels_whose_settings_are_all_left_out_are_counted(small):
    results = repeat(small, 14)
    kept = tuple(p for p in results.curves if (p.strong_model == "s1000") == (p.loss in ("l12", "l13")))
    figure = draw_curves(replace(results, curves=kept))
    assert {axis.get_title(loc="left").split(": ")[1] for axis in figure.axes[:2]} == {"w14 → s410"}
    assert "2 more panels are in curves.parquet only" in caption(figure)[1]


def test_the_note_names_the_right_axis_where_there_is_one(small):
    assert "right axis: PGR" in caption(draw_curves(repeat(small, 1)))[1]
    points = tuple(replace(p, ceiling=p.weak) for p in small.curves)
    figure = draw_curves(replace(small, curves=points))
    assert not any(axis.child_axes for axis in figure.axes)
    assert "right axis" not in caption(figure)[1]


def test_weak_models_are_averaged_only_where_that_makes_panels_fewer(small):
    shown = facets(repeat(small, 80, tasks=("sciq",)))
    assert not shown.averaged
    assert [panel.title for panel in shown.panels] == ["w14 → s410", "w14 → s1000"]
    assert all(g.student.low is not None for panel in shown.panels for g in panel.groups)
    assert "mean over" not in shown.note
    assert "the first 75 settings, 5 more are in the tables only" in shown.note
    two = repeat(small, 80, tasks=("sciq",))
    other = tuple(replace(g, weak_model="w70", group=f"{g.group} w70") for g in two.groups)
    assert "mean over weak models" in facets(replace(two, groups=(*two.groups, *other))).note


def test_tasks_are_averaged_only_where_a_pair_has_several(small):
    groups = [g for g in repeat(small, 80).groups if (g.dataset == "sciq") == (g.strong_model == "s410")]
    assert not facets(replace(small, groups=tuple(groups))).averaged


@pytest.mark.parametrize("settings", [5, 400])
def test_rows_of_a_figure_are_bounded_in_one_panel_too(small, settings):
    results = repeat(small, settings, tasks=("sciq",), strong=("s410",))
    shown = facets(without(results, finished=first(2)))
    assert len(shown.variants) == len(shown.panels[0].groups) == min(settings - 2, MOST_ROWS)
    assert shown.variants[0] == "l2"
    assert (f"{398 - MOST_ROWS} more are in the tables only" in shown.note) == (settings == 400)


def test_a_setting_is_no_combination_of_it_with_tasks_and_models(small):
    """Figures and remarks count both, and the word means one of them."""
    assert small.count_groups(1, 4) == "1 of 4 combinations of task, models and setting"
    assert replace(small, rows=small.rows[:1]).count_groups(3) == "3 settings"
    assert replace(small, rows=small.rows[:1]).count_groups(1) == "1 setting"
    note = caption(draw_gain(repeat(small, 20)))[1]
    assert "the first 16 settings, 4 more are in gain.csv only" in note
