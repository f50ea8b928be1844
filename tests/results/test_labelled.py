"""A supervisor that is a file may label some test rows alone: every number of its cells is about these rows."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from tests.results_store import LOSSES, NAME, Shape, build, made_up, put_stage, read_curve
from w2s_sweep.kinds.labels import LabelsFile
from w2s_sweep.predictions import CURVE, FILE, Evaluated, read_predictions
from w2s_sweep.results.collect import collect
from w2s_sweep.results.collected import Results
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json

SHAPE = Shape(
    losses=LOSSES[:2], seeds=(0, 1), n_test=120, share=(0.4, 0.6, 0.8), curve=((0.5, 0.5, 0.5), (0.6, 0.75, 0.8))
)


def is_labelled(name: str) -> bool:
    return int(name[-5:]) % 3 > 0


def narrow(store: Store, roles: Sequence[str], keep: Callable[[str], bool] = is_labelled) -> None:
    """Leave the rows of these roles' stages that are labelled, in predictions and curves; the weak role is a file."""
    record = read_json(store.sweep(NAME) / "sweep.json")
    assert record is not None
    for key, stage in record["stages"].items():
        if stage["role"] == "weak":
            stage["kind"] = LabelsFile.kind
        if stage["role"] in roles:
            found, curve = read_predictions(store.path(key) / FILE), read_curve(store.path(key) / CURVE)
            shutil.rmtree(store.path(key))
            kept = found.take(np.flatnonzero([keep(name) for name in found.ids]))
            parts = [] if stage["role"] == "weak" else [_part(one, keep) for one in curve]
            put_stage(store, key, stage["label"], kept, curve=parts)
    write_json(store.sweep(NAME) / "sweep.json", record)


def _part(one: Evaluated, keep: Callable[[str], bool]) -> Evaluated:
    kept = np.array([keep(name) for name in one.ids])
    return replace(one, ids=one.ids[kept], probs=one.probs[kept])


def let_students_differ(store: Store) -> None:
    """Students of the second loss are wrong on every fifth row, whether it is labelled or not."""
    for row in collect(store, NAME).rows:
        if row.loss != "xent":
            folder = store.path(row.student_key)
            found, curve = read_predictions(folder / FILE), read_curve(folder / CURVE)
            shutil.rmtree(folder)
            right = np.array([int(name[-5:]) % 5 > 0 for name in sorted(found.ids)])
            truth = found.truth[np.argsort(found.ids.astype(str))]
            put_stage(store, row.student_key, "student", made_up(truth, right), curve=curve)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Results]:
    """Of a file that labels two thirds of the test rows; and of a store that has no other rows."""
    some, only = (build(tmp_path_factory.mktemp(name) / "store", SHAPE) for name in ("some", "only"))
    for store in (some, only):
        let_students_differ(store)
    narrow(some, ["weak"])
    narrow(only, ["weak", "student", "ceiling"])
    return collect(some, NAME), collect(only, NAME)


@pytest.mark.parametrize("part", ["rows", "groups", "comparisons", "curves"])
def test_numbers_are_those_of_a_store_without_the_other_rows(results, part):
    found, expected = ([asdict(one) for one in getattr(side, part)] for side in results)
    assert len(found) > 0
    assert json.dumps(found) == json.dumps(expected)


def test_so_are_evaluations_of_cells_and_reliability(results):
    found, expected = results
    assert found.steps == expected.steps
    assert set(found.steps) == {0, 1, 2, 3}
    assert found.reliability == expected.reliability
    assert {sum(counted.examples) for roles in found.reliability.values() for counted in roles.values()} == {2 * 80}


def test_a_curve_of_other_rows_than_those_labelled_is_none(tmp_path: Path):
    store = build(tmp_path / "store", replace(SHAPE, seeds=(0,), losses=LOSSES[:1]))
    narrow(store, ["weak"], keep=lambda name: int(name[-5:]) >= 60)  # evaluated: the first 60
    found = collect(store, NAME)
    assert (found.count("done"), found.rows[0].n_test, found.curves) == (1, 60, ())
