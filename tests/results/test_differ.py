"""Two sweeps or cells beside each other: the settings that differ, the stages they share, the paired test of scores."""

import numpy as np
import pytest

from tests.results_store import LOSSES, NAME, Shape, build, made_up, put_stage
from w2s_sweep.cli import main as w2s
from w2s_sweep.errors import StoreError
from w2s_sweep.results.collect import collect
from w2s_sweep.results.differ import differ, read_side
from w2s_sweep.store.files import write_json

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A sweep of two losses, the second better by .15; and one sweep for each of them, `a` and `b`."""
    store = build(tmp_path_factory.mktemp("diff"), Shape(losses=LOSSES[:2], seeds=SEEDS, datasets=("sciq", "boolq")))
    for row in collect(store, NAME).rows:
        if row.loss == "confidence":
            truth = np.random.default_rng(row.seed).integers(0, 2, 100)
            store.quarantine(row.student_key)
            put_stage(store, row.student_key, "better", made_up(truth, np.arange(100) < 85))
    record = store.read_sweep(NAME)
    for name, loss in (("a", "xent"), ("b", "confidence")):
        cells = [entry for entry in record["cells"] if entry["cell"]["loss"]["name"] == loss]
        write_json(store.sweep(name) / "sweep.json", record | {"name": name, "cells": cells})
    return store


def compare(store, left, right):
    return differ(store, read_side(store, left), read_side(store, right))


@pytest.mark.slow
def test_two_sweeps_are_compared_cell_by_cell(store):
    found = compare(store, "a", "b")
    assert found.settings == {"loss.name": (["xent"], ["confidence"])}
    assert found.shared == 2 * 2 * len(SEEDS)
    assert [{stage["role"] for stage in side.values()} for side in found.stages] == [{"student"}, {"student"}]
    assert (found.same, found.unpaired, found.unscored) == (0, (0, 0), {})
    tested = {c.dataset: c for c in found.comparisons}
    assert set(tested) == {"all 2 tasks", "sciq", "boolq"}
    assert tested["sciq"].difference.value == pytest.approx(0.15)
    assert tested["sciq"].pairs == len(SEEDS)
    assert tested["sciq"].test.name == "seeds and examples"


@pytest.mark.slow
def test_the_numbers_are_those_of_a_joint_report_and_turn_with_the_sides(store):
    joint = [c for c in collect(store, "a", "b").comparisons if c.tasks == 1]
    there = [c for c in compare(store, "a", "b").comparisons if c.tasks == 1]
    back = [c for c in compare(store, "b", "a").comparisons if c.tasks == 1]
    for one, other, turned in zip(joint, there, back, strict=True):
        assert (one.difference, one.test) == (other.difference, other.test)
        assert turned.difference.value == pytest.approx(-one.difference.value)
        assert turned.test.p == pytest.approx(one.test.p)


def test_a_sweep_and_its_part_share_cells(store):
    found = compare(store, NAME, "b")
    assert (found.same, found.unpaired, found.comparisons) == (6, (6, 0), ())
    assert found.settings == {"loss.name": (["xent", "confidence"], ["confidence"])}
    assert (len(found.stages[0]), found.stages[1]) == (6, {})


def test_two_cells_that_differ_in_several_settings_are_compared_all_the_same(store):
    found = compare(store, f"{NAME}/0", f"{NAME}/1")
    assert list(found.settings) == ["loss.name"]
    assert [c.test.name for c in found.comparisons] == ["these models"]
    (c,) = found.comparisons
    assert c.first.loss == "xent"
    assert c.second.loss == "confidence"


def test_what_cannot_be_compared_says_why(store):
    cells = store.read_sweep(NAME)["cells"]
    other = next(i for i, entry in enumerate(cells) if entry["cell"]["seed"] == 1)
    found = compare(store, f"{NAME}/0", f"{NAME}/{other}")
    assert found.settings == {"seed": ([0], [1])}
    assert found.unscored == {"they are scored on different test examples": 1}


def test_a_cell_that_is_not_finished_says_so(tmp_path):
    shape = Shape(losses=LOSSES[:2], missing=("student w14 s410 sciq 1 0",))
    assert compare(build(tmp_path, shape), f"{NAME}/0", f"{NAME}/1").unscored == {"a cell is not finished": 1}


@pytest.mark.parametrize("name", ["made-up/12", "made-up/", "made-up/x"])
def test_an_unknown_cell_is_refused_with_those_there_are(store, name):
    with pytest.raises(StoreError, match="Allowed: 0 to 11, as in made-up/0"):
        read_side(store, name)


@pytest.mark.slow
def test_the_command_shows_all_three(store, capsys):
    assert w2s(["diff", "a", "b", "--store", str(store.root)]) == 0
    out = capsys.readouterr().out
    assert "loss.name" in out
    assert "stages: 12 shared" in out
    assert "only a: 6 (6 student)" in out
    assert "p over sign flips" in out
    assert w2s(["diff", "a", "a", "--store", str(store.root)]) == 0
    out = capsys.readouterr().out
    assert "settings: no difference" in out
    assert "6 cells are the same on both sides" in out
