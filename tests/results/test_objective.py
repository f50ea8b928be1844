"""What sweepers are given: validation rows decide, and test rows cannot."""

from dataclasses import replace

import numpy as np
import pytest

from tests.results_store import NAME, Shape, build, made_up, put_stage
from w2s_sweep.results.collect import collect
from w2s_sweep.results.objective import validation_value
from w2s_sweep.store import Store

RIGHT = {"weak": 60, "student": 75, "ceiling": 80}


def with_validation(root, right: dict[str, int], test_right: int) -> Store:
    """A store whose roles are right on so many of 100 validation rows, and all on so many of 100 test rows."""
    store = build(root, Shape())
    (row,) = collect(store, NAME).rows
    truth = np.random.default_rng(1).integers(0, 2, 200)
    for role, count in right.items():
        place = np.arange(200)
        said = made_up(truth, np.where(place < 100, place < count, place - 100 < test_right))
        key = getattr(row, f"{role}_key")
        store.quarantine(key)
        put_stage(store, key, role, replace(said, splits=np.array(["validation"] * 100 + ["test"] * 100, dtype=object)))
    return store


@pytest.mark.parametrize(("objective", "expected"), [("validation_pgr", 0.75), ("weak_agreement", 0.85)])
def test_the_value_is_that_of_validation_rows_whatever_is_right_on_test_rows(tmp_path, objective, expected):
    for test_right in (10, 90):
        store = with_validation(tmp_path / str(test_right), RIGHT, test_right)
        (row,) = collect(store, NAME).rows
        assert row.student.value == pytest.approx(test_right / 100)
        assert validation_value(store, row, objective) == (pytest.approx(expected), "")


def test_without_a_better_ceiling_or_validation_rows_there_is_no_value_but_a_reason(tmp_path):
    store = with_validation(tmp_path / "a", RIGHT | {"ceiling": 60}, 50)
    value, reason = validation_value(store, collect(store, NAME).rows[0], "validation_pgr")
    assert (value, reason) == (None, "on validation rows the ceiling is not better than the supervisor")
    plain = build(tmp_path / "b", Shape())
    value, reason = validation_value(plain, collect(plain, NAME).rows[0], "weak_agreement")
    assert (value, reason) == (None, "weak, student: no validation rows")
