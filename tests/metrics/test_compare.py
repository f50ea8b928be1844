"""What each example adds to a metric, and Holm's correction."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_sweep.arrays import Array
from w2s_sweep.metrics import METRICS, Design, auroc, crossed_interval, crossed_p, holm

AUROC = METRICS["auroc"]
p_values = st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8)


def scores(skill: float, truth: Array, seed: int) -> Array:
    """Predictions of a student; a higher skill separates the classes better."""
    margin = np.random.default_rng(seed).normal(size=len(truth)) + skill * (2 * truth - 1)
    return np.stack([1 - margin, margin], axis=1).astype(np.float32)


def delong_variance(margin: Array, truth: Array) -> float:
    """DeLong et al. (1988), equation 3 for one curve, with a loop over pairs."""
    up, down = margin[truth == 1], margin[truth == 0]
    wins = (up[:, None] > down) + 0.5 * (up[:, None] == down)
    return wins.mean(1).var(ddof=1) / len(up) + wins.mean(0).var(ddof=1) / len(down)


@pytest.mark.parametrize("ties", [False, True])
def test_the_error_of_an_auroc_is_that_of_delong(ties: bool):
    truth = np.random.default_rng(0).integers(0, 2, 300).astype(np.int8)
    probs = np.round(scores(0.6, truth, 1), 0 if ties else 6)
    parts = AUROC.scores(probs, truth)
    assert parts is not None
    assert parts.mean() == pytest.approx(auroc(probs, truth))
    found = Design.of([np.arange(300)]).moments(parts[:, None]).covariance[0, 0]
    assert found == pytest.approx(delong_variance(probs[:, 1] - probs[:, 0], truth), rel=0.01)


def test_what_an_example_adds_is_what_leaving_it_out_changes():
    truth = np.random.default_rng(0).integers(0, 2, 80).astype(np.int8)
    probs = scores(0.6, truth, 1)
    whole, parts = auroc(probs, truth), AUROC.scores(probs, truth)
    assert whole is not None
    assert parts is not None
    for i in (0, 1, 2, 40):
        left = auroc(np.delete(probs, i, 0), np.delete(truth, i))
        assert whole - left == pytest.approx((parts[i] - whole) / 80, rel=0.1, abs=1e-4)
    assert AUROC.scores(probs, np.ones_like(truth)) is None


def test_a_difference_is_found_and_repeated_examples_count_once():
    truth = np.random.default_rng(0).integers(0, 2, 400).astype(np.int8)
    poor, good, same = scores(0.3, truth, 1), scores(1.0, truth, 2), scores(0.3, truth, 3)

    def tested(second: Array, copies: int) -> float | None:
        change = AUROC.scores(second, truth) - AUROC.scores(poor, truth)
        groups = np.arange(len(truth)).repeat(copies)
        return crossed_p(Design.of([groups]).moments(change.repeat(copies)[:, None]))

    assert tested(good, 1) < 1e-4
    assert tested(same, 1) > 0.05
    assert tested(same, 4) == pytest.approx(tested(same, 1))
    assert tested(poor, 1) == 1


def test_groups_that_are_right_together_widen_the_interval_and_opposites_narrow_it():
    truth = np.random.default_rng(0).integers(0, 2, 200).astype(np.int8)
    good = scores(1.0, truth, 1)
    alike = [np.arange(200).repeat(2), np.arange(400)]
    widths = []
    for groups in alike:
        parts = AUROC.scores(good.repeat(2, 0), truth.repeat(2))
        found = crossed_interval(Design.of([groups]).moments(parts[:, None]))
        widths.append(found.high - found.low)
    assert widths[0] == pytest.approx(widths[1] * 2**0.5, rel=0.02)


def test_holm_is_the_textbook_example():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({}) == {}


@settings(deadline=None)
@given(p_values)
def test_holm_keeps_names_and_order_and_never_lowers_a_p_value(given_p: dict[str, float]):
    found = holm(given_p)
    assert list(found) == list(given_p)
    for name, p in given_p.items():
        assert p <= found[name] <= min(1.0, max(p, len(given_p) * p))
        assert all(found[name] <= found[other] for other in given_p if p < given_p[other])
