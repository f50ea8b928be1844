"""What is computed of several sets of predictions at once is what each set gives by itself."""

from dataclasses import replace

import numpy as np
import pytest

from tests.metrics.test_own import predict
from w2s_sweep.metrics import (
    FURTHER,
    METRICS,
    Design,
    Interval,
    Moments,
    OfCell,
    OfMeans,
    OfRole,
    RolePredictions,
    brier,
    crossed_interval,
    crossed_intervals,
    recover,
    recover_all,
)

SETS = 3
ROLES = {"weak": 0.5, "student": 1.0, "ceiling": 2.0, "reference": 1.2}
GROUPS = np.repeat([f"question {i}" for i in range(30)], 2)


def roles_of(truth: np.ndarray, classes: int) -> dict[str, RolePredictions]:
    """Several sets for each role; the first set of a supervisor is always right."""
    found: dict[str, RolePredictions] = {}
    for number, (role, skill) in enumerate(ROLES.items()):
        probs = np.stack([predict(skill, truth, SETS * number + i, classes).round(2) for i in range(SETS)])
        if role == "weak":
            probs[0] = np.eye(classes, dtype=np.float32)[truth]
        legal = np.random.default_rng(number).choice([0.0, 1.0, np.nan], (SETS, len(truth)))
        found[role] = RolePredictions(probs=probs, truth=truth, legal=legal, groups=GROUPS)
    return found


def same(together: np.ndarray, alone: list[np.ndarray | None]) -> None:
    for found, expected in zip(together, alone, strict=True):
        expected = np.full(len(found), np.nan) if expected is None else expected
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("truth", ["pairs", "drawn", "one class"])
@pytest.mark.parametrize("classes", [2, 4])
def test_metrics_of_several_sets_are_those_of_each(classes: int, truth: str):
    drawn = np.random.default_rng(0).integers(0, classes, len(GROUPS))
    true = {"pairs": np.tile([0, 1], 30), "drawn": drawn, "one class": np.zeros(len(GROUPS), dtype=int)}[truth]
    roles = roles_of(true, classes)
    for metric in METRICS.values():
        together = metric.scores_of_each(roles["student"].probs, roles["student"])
        same(together, [metric.scores_of(roles["student"].of_set(i)) for i in range(SETS)])
    for metric in FURTHER.values():
        if isinstance(metric, OfRole):
            found = metric.scores_of_each(roles["student"])
            assert found is not None
            each = [metric.measure(roles["student"].of_set(i)) for i in range(SETS)]
            same(found, [None if one is None else one.scores() for one in each])
        elif isinstance(metric, OfCell):
            several = metric.scores_of_each(roles)
            each = [metric.measure({name: role.of_set(i) for name, role in roles.items()}) for i in range(SETS)]
            assert several.keys() == each[0].keys()
            for name, found in several.items():
                same(found, [one[name].scores() for one in each])


def test_a_metric_that_takes_one_set_at_a_time_is_asked_set_by_set():
    class Own(OfRole):
        name, title, about = "own", "own", "the mean of class 1"

        def measure(self, role: RolePredictions) -> OfMeans | None:
            assert role.probs.ndim == 2
            return None if (role.probs.max(1) == 1).all() else brier(role.probs, role.truth)

    role = roles_of(np.tile([0, 1], 30), 2)["weak"]  # certain of all in the first set
    expected = brier(role.probs, role.truth).terms[:, :, 0]
    found = Own().scores_of_each(role)
    assert found is not None
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1:], expected[1:], rtol=1e-6)  # slopes are differences
    assert Own().scores_of_each(replace(role, probs=role.probs[:1], legal=role.legal[:1])) is None


DEALS = {
    "one test set": [np.arange(40)] * 3,
    "another order": [np.arange(40), np.arange(40)[::-1], np.arange(40)],
    "passages": [np.arange(40) // 4] * 3,
    "other rows": [np.arange(40), np.arange(20, 50), np.arange(60, 90)],
    "one seed": [np.arange(40)],
    "one group": [np.zeros(40)] * 2,
}


@pytest.mark.parametrize("names", DEALS.values(), ids=list(DEALS))
def test_intervals_and_pgrs_of_several_sets_are_those_of_each(names: list[np.ndarray]):
    design, random = Design.of(names), np.random.default_rng(1)
    level = np.array([[0.05, 0.1], [0.0, 0.1], [0.1, 0.0], [0.02, -0.3]])
    values = random.normal(0, 0.2, (4, 2, len(design.seeds))) + level[:, :, None]
    moments = design.moments(np.moveaxis(values, 1, 2))
    intervals = crossed_intervals(design.spread(values), [(-1.0, 1.0), (-0.1, 0.1)])
    for place, found in enumerate(recover_all(moments)):
        alone = design.moments(values[place].T)
        one = recover(alone)
        assert (found.gain, found.gap, found.excess, found.reason) == (one.gain, one.gap, one.excess, one.reason)
        assert found.pgr == one.pgr
        assert found.moments is not None
        assert found.moments.freedom == alone.freedom
        for column, bounds in enumerate([(-1.0, 1.0), (-0.1, 0.1)]):
            near(intervals[place][column], crossed_interval(alone.only(column), bounds))


def near(found: Interval, expected: Interval) -> None:
    for name in ("value", "low", "high"):
        value = getattr(expected, name)
        assert getattr(found, name) == (None if value is None else pytest.approx(value, rel=1e-12, abs=1e-14))


def test_an_indefinite_matrix_of_one_set_changes_no_other():
    sound, odd = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, 3.0], [3.0, 1.0]])

    def moments(*of_runs: np.ndarray) -> Moments:
        matrices = np.stack([np.eye(2)] * len(of_runs))
        return Moments(np.zeros((len(of_runs), 2)), matrices * 2, np.stack(of_runs) + matrices, matrices, 3, 20)

    both = moments(sound, odd).covariance
    np.testing.assert_allclose(both[0], moments(sound).covariance[0], rtol=1e-14)
    np.testing.assert_allclose(both[0], np.eye(2) * 2 + sound, rtol=1e-14)
    np.testing.assert_allclose(both[1], np.eye(2) * 2 + 2.0, rtol=1e-14)  # of 4 and -2 the first alone
