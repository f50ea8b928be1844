"""Metrics of predictions against their definitions; laws of order and symmetry; None where nothing can be said."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from w2s_sweep.arrays import Array
from w2s_sweep.metrics import (
    OfMeans,
    accuracy,
    agreement,
    auroc,
    brier,
    capa,
    ece,
    gain,
    misfit,
    no_auroc,
)


def binary(p1: list[float]) -> Array:
    ones = np.array(p1, dtype=np.float32)
    return np.stack([1 - ones, ones], axis=1).reshape(-1, 2)


@st.composite
def predictions(draw: st.DrawFn, roles: int = 1, least: int = 1, classes: tuple[int, int] = (2, 4)) -> Any:
    """(probs of each role, truth); probabilities on a coarse grid, so that ties are common."""
    n, k = draw(st.integers(least, 30)), draw(st.integers(*classes))
    raw = draw(st.lists(st.lists(st.integers(0, 4), min_size=k, max_size=k), min_size=n * roles, max_size=n * roles))
    weight = np.array(raw, dtype=np.float64).reshape(roles, n, k) + 0.5
    probs = (weight / weight.sum(2, keepdims=True)).astype(np.float32)
    truth = np.array(draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n)), dtype=np.int8)
    return (*probs, truth)


def auroc_by_pairs(score: Array, positive: Array) -> float:
    pairs = [(a > b) + (a == b) / 2 for a in score[positive] for b in score[~positive]]
    return float(np.mean(pairs))


@settings(deadline=None)
@given(predictions())
def test_every_metric_takes_predictions_of_any_size_and_number_of_classes(case: tuple[Array, Array]):
    probs, truth = case
    for metric in (accuracy, auroc, brier, ece):
        found = metric(probs, truth)
        value = found.value if isinstance(found, OfMeans) else found
        assert value is None or 0 <= value <= 1


@pytest.mark.parametrize("metric", [accuracy, auroc, brier, ece])
def test_arrays_of_different_lengths_are_noticed(metric: Callable[..., Any]):
    with pytest.raises(TypeCheckError):
        metric(binary([0.1, 0.2]), np.array([1]))


@settings(deadline=None)
@given(predictions(classes=(2, 2)))
def test_auroc_is_the_share_of_pairs_in_the_right_order(case: tuple[Array, Array]):
    probs, truth = case
    value = auroc(probs, truth)
    if len(set(truth.tolist())) < 2:
        assert value is None
    else:
        margin = probs[:, 1].astype(float) - probs[:, 0].astype(float)
        assert value == pytest.approx(auroc_by_pairs(margin, truth == 1))


@settings(deadline=None)
@given(predictions(classes=(3, 4)))
def test_auroc_of_many_classes_is_the_mean_of_one_against_the_rest(case: tuple[Array, Array]):
    probs, truth = case
    classes = range(probs.shape[1])
    if set(truth.tolist()) != set(classes):
        assert auroc(probs, truth) is None
    else:
        wide = probs.astype(float)
        margins = [wide[:, c] - (wide.sum(1) - wide[:, c]) for c in classes]
        expected = np.mean([auroc_by_pairs(margins[c], truth == c) for c in classes])
        assert auroc(probs, truth) == pytest.approx(expected)


def test_auroc_says_why_it_is_undefined():
    assert no_auroc(binary([0.1, 0.9]), np.array([1, 1])) == "only class 1 occurs"
    assert no_auroc(np.full((2, 3), 1 / 3), np.array([0, 2])) == "class 1 does not occur"
    assert no_auroc(binary([]), np.array([], dtype=int)) == "there are no examples"
    assert no_auroc(binary([0.1, 0.9]), np.array([1, 0])) is None


def test_a_constant_prediction_has_auroc_one_half():
    assert auroc(binary([0.7] * 5), np.array([0, 1, 1, 0, 1])) == 0.5


@settings(deadline=None)
@given(predictions(classes=(2, 2)))
def test_auroc_of_the_swapped_classes_is_the_same_and_of_the_swapped_truth_the_complement(case: tuple[Array, Array]):
    probs, truth = case
    value = auroc(probs, truth)
    if value is not None:
        assert auroc(probs[:, ::-1], 1 - truth) == pytest.approx(value)
        assert auroc(probs, 1 - truth) == pytest.approx(1 - value)


def of_means(student: Array, weak: Array, truth: Array) -> dict[str, OfMeans]:
    """Every metric that is a function of means over examples."""
    shared = {f"agreement/{name}": metric for name, metric in vars(agreement(student, weak, truth)).items()}
    own = {"brier": brier(student, truth), "ece": ece(student, truth)}
    both = {"capa": capa(student, weak, truth), "gain": gain(student, weak, truth), "misfit": misfit(student, weak)}
    return shared | own | both


@pytest.mark.slow
@settings(deadline=None)
@given(predictions(roles=2), st.randoms(use_true_random=False))
def test_the_order_of_the_examples_does_not_matter(case: tuple[Array, Array, Array], random: Any):
    student, weak, truth = case
    order = list(range(len(truth)))
    random.shuffle(order)
    for metric in (accuracy, auroc):
        assert metric(student[order], truth[order]) == pytest.approx(metric(student, truth))
    before, after = of_means(student, weak, truth), of_means(student[order], weak[order], truth[order])
    assert {name: m.value for name, m in after.items()} == pytest.approx({name: m.value for name, m in before.items()})


def test_without_examples_there_is_no_number():
    nothing, truth = binary([]), np.array([], dtype=np.int8)
    assert [metric(nothing, truth) for metric in (accuracy, auroc)] == [None] * 2
    assert {metric.value for metric in of_means(nothing, nothing, truth).values()} == {None}


def test_accuracy_counts_the_most_likely_class():
    assert accuracy(binary([0.9, 0.2, 0.6, 0.4]), np.array([1, 0, 0, 1])) == 0.5


def test_brier_of_two_classes_is_the_squared_error_of_p1():
    p1, truth = [0.9, 0.2, 0.6], np.array([1, 0, 0])
    assert brier(binary(p1), truth).value == pytest.approx(np.mean((np.array(p1) - truth) ** 2))


def test_ece_is_the_gap_between_confidence_and_accuracy():
    always_80 = binary([0.8] * 10)
    assert ece(always_80, np.array([1] * 8 + [0] * 2)).value == pytest.approx(0, abs=1e-6)
    assert ece(always_80, np.array([1] * 5 + [0] * 5)).value == pytest.approx(0.3)
    assert ece(binary([1.0, 0.0]), np.array([1, 0])).value == 0


@settings(deadline=None)
@given(predictions(roles=2))
def test_agreement_splits_by_whether_the_supervisor_is_right(case: tuple[Array, Array, Array]):
    student, weak, truth = case
    found = agreement(student, weak, truth)
    right = weak.argmax(1) == truth
    overall, kept, repeated, corrected = (metric.value for metric in vars(found).values())
    assert overall == pytest.approx((student.argmax(1) == weak.argmax(1)).mean())
    assert (kept or 0) * right.sum() + (repeated or 0) * (~right).sum() == pytest.approx(overall * len(truth))
    assert (kept is None) == (not right.any())
    if corrected is not None:
        assert repeated + corrected <= 1 + 1e-9
        if weak.shape[1] == 2:
            assert repeated + corrected == pytest.approx(1)


@settings(deadline=None)
@given(predictions(roles=2))
def test_misfit_is_symmetric_and_zero_for_equal_predictions(case: tuple[Array, Array, Array]):
    student, weak, _ = case
    assert misfit(student, weak).value == pytest.approx(misfit(weak, student).value)
    assert misfit(weak, weak).value == 0


def test_misfit_of_two_classes_is_the_squared_difference_of_p1():
    assert misfit(binary([0.9, 0.5]), binary([0.4, 0.5])).value == pytest.approx(0.125)


@settings(deadline=None)
@given(predictions(roles=2))
def test_capa_is_symmetric_and_at_most_1(case: tuple[Array, Array, Array]):
    first, second, truth = case
    value = capa(first, second, truth).value
    assert value == pytest.approx(capa(second, first, truth).value)
    assert value is not None
    assert value <= 1 + 1e-6


def test_capa_is_its_formula():
    truth = np.array([0, 1, 1, 0])
    p, q = [0.2, 0.9, 0.6, 0.4], [0.5, 0.7, 0.1, 0.3]
    observed = np.mean([a * b + (1 - a) * (1 - b) for a, b in zip(p, q, strict=True)])
    right_p, right_q = np.mean([0.8, 0.9, 0.6, 0.6]), np.mean([0.5, 0.7, 0.1, 0.7])
    expected = right_p * right_q + (1 - right_p) * (1 - right_q)
    value = (observed - expected) / (1 - expected)
    assert capa(binary(p), binary(q), truth).value == pytest.approx(value, abs=1e-6)


def test_capa_of_certain_models_is_kappa_of_errors():
    truth = np.array([0, 0, 1, 1])
    same_error, other_error = binary([1, 0, 1, 1]), binary([0, 1, 1, 1])
    assert capa(same_error, same_error, truth).value == pytest.approx(1)
    assert (capa(same_error, other_error, truth).value or 0) < 0
    assert capa(binary([0, 0, 1, 1]), binary([0, 0, 1, 1]), truth).value is None


@settings(deadline=None)
@given(predictions(classes=(3, 3)))
def test_uniform_predictions_agree_as_much_as_chance(case: tuple[Array, Array]):
    probs, truth = case
    uniform = np.full_like(probs, 1 / 3)
    assert capa(uniform, uniform, truth).value == pytest.approx(0, abs=1e-6)
