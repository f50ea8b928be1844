"""Packs are divided among the places that there are, in whole stages; that changes no stage and no order."""

import pytest

from tests.setups import cell, identify
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.finetune import Full, Probe
from w2s_sweep.plan.packs import divide, make_packs

STUDENTS = merge([cell(weak="w0", strong="s0", seed=seed) for seed in range(12)], identify)
"""Twelve supervisors of one model; twelve students and twelve ceilings of another."""


def sizes(graph, role, width, least=0.0, most=1e30):
    """How many stages of a role each pack has."""
    packs = make_packs(graph, graph.stages, most, lambda stages, flops: divide(stages, flops, width, least))
    assert sorted(key for pack in packs for key in pack.keys) == sorted(graph.stages)
    before: set[str] = set()
    for pack in packs:
        assert pack.waits_for <= before
        before.update(pack.keys)
    counts = [sum(stage.hints.role == role for stage in pack.stages) for pack in packs]
    return [count for count in counts if count]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (1, [12]),
        (2, [6, 6]),
        (4, [3, 3, 3, 3]),
        (5, [3, 3, 3, 3]),
        (6, [2] * 6),
        (7, [2] * 6),
        (12, [1] * 12),
        (99, [1] * 12),
    ],
)
def test_twelve_students_are_divided_among_the_places_that_there_are(width, expected):
    assert sizes(STUDENTS, "student", width) == expected


def test_the_same_width_makes_the_same_packs():
    once, twice = (
        [pack.name for pack in make_packs(STUDENTS, STUDENTS.stages, 1e30, lambda s, f: divide(s, f, 5))]
        for _ in range(2)
    )
    assert once == twice


def test_stages_that_cost_less_than_a_start_stay_together():
    (price,) = {stage.cost.flops for stage in STUDENTS.stages.values() if stage.hints.role == "student"}
    assert sizes(STUDENTS, "student", 12, least=3.5 * price) == [4, 4, 4]
    assert sizes(STUDENTS, "student", 12, least=100 * price) == [12]


def test_a_bound_of_ones_own_holds_as_well():
    (price,) = {stage.cost.flops for stage in STUDENTS.stages.values() if stage.hints.role == "student"}
    assert sizes(STUDENTS, "student", 2, most=2.5 * price) == [2] * 6


def test_places_are_shared_by_all_models_of_a_depth():
    """Two students of each of four models, for four places: each model's students stay together."""
    graph = merge([cell(weak="w0", strong=f"s{i}", seed=seed) for i in range(4) for seed in (0, 1)], identify)
    assert sizes(graph, "student", 4) == [2] * 4
    assert sizes(graph, "student", 8) == [1] * 8


def test_features_are_no_work_that_could_be_divided():
    """Students that read the features of their model have as many places as others."""
    graph = merge([cell(weak="w0", strong="s0", seed=seed, finetune=Probe()) for seed in range(4)], identify)
    told = dict[int, float]()
    make_packs(graph, graph.stages, 1e30, lambda stages, flops: told.setdefault(len(told), flops) + 1e30)
    assert sum(stage.cost.flops for stage in graph.stages.values() if stage.kind == "features") > 0
    assert set(told.values()) == {0.0}


def test_probes_stay_with_their_features():
    """They would wait for them, and would save nothing."""
    cells = [cell(weak="w0", strong="s0", seed=seed, finetune=Probe()) for seed in range(12)]
    graph = merge(cells, identify)
    share = make_packs(graph, graph.stages, 1e30, lambda stages, flops: divide(stages, flops, 4))
    assert len(share) == len(make_packs(graph, graph.stages, 1e30))


def test_one_stage_is_one_pack():
    graph = merge([cell(weak="w0", strong="s0", finetune=Full())], identify)
    assert sizes(graph, "student", 9) == [1]
