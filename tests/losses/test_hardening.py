"""Schedules at given steps, and the student's hardened predictions: how often each class, ties, odd batches."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_sweep.losses.adaptive import AdaptiveConfidence
from w2s_sweep.losses.confidence import Confidence, ConfidenceReleased, Entropy
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.losses.hardening import harden_balanced, harden_matched, hardest
from w2s_sweep.losses.schedule import linear_warmup, released_warmup

logit_rows = st.lists(
    st.tuples(*[st.sampled_from([-1e4, -3.0, -1.0, 0.0, 1e-3, 2.0, 1e4])] * 2), min_size=1, max_size=9
)


@pytest.mark.parametrize(("progress", "weight"), [(0.0, 0.0), (0.05, 0.125), (0.1, 0.25), (0.2, 0.5), (0.99, 0.5)])
def test_the_papers_weight_reaches_its_maximum_after_a_fifth_of_the_steps(progress: float, weight: float):
    assert Confidence().weight(progress) == pytest.approx(weight)
    assert Entropy().weight(progress) == pytest.approx(weight)


@pytest.mark.parametrize(
    ("progress", "weight"), [(0.0, 0.0), (0.05, 0.025), (0.1, 0.05), (0.1001, 0.5), (0.5, 0.5), (0.99, 0.5)]
)
def test_the_released_weight_climbs_to_a_tenth_and_jumps(progress: float, weight: float):
    assert ConfidenceReleased().weight(progress) == pytest.approx(weight)


def test_the_corrected_schedule_has_no_jump():
    weights = [ConfidenceReleased(schedule="linear").weight(step / 1000) for step in range(1000)]
    assert weights[100] == weights[-1] == 0.5
    assert max(np.diff(weights)) < 0.0051


@settings(deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1))
def test_schedules_stay_between_0_and_1(progress: float, warmup: float):
    assert 0 <= linear_warmup(progress, warmup) <= 1
    assert 0 <= released_warmup(progress, warmup) <= 1


def test_no_warmup_means_full_weight_from_the_first_step():
    assert linear_warmup(0.0, 0.0) == 1
    assert Confidence(warmup=0.0).weight(0.0) == 0.5


@pytest.mark.parametrize("loss", [Confidence(), ConfidenceReleased(), AdaptiveConfidence()])
def test_the_first_step_is_plain_cross_entropy(loss: Confidence):
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 2, generator=rng)
    labels = torch.rand(8, 2, generator=rng).softmax(-1)
    assert torch.equal(loss(logits, labels, 0.0), CrossEntropy()(logits, labels, 0.0))


@settings(deadline=None)
@given(logit_rows)
def test_class_1_gets_exactly_half_of_the_batch(rows: list[tuple[float, float]]):
    target = harden_balanced(torch.tensor(rows))
    assert target[:, 1].sum().item() == pytest.approx(len(rows) / 2, abs=1e-5)
    assert target.min() >= 0
    assert torch.allclose(target.sum(1), torch.ones(len(rows)))


@settings(deadline=None)
@given(logit_rows)
def test_balanced_predictions_follow_the_order_of_the_log_odds(rows: list[tuple[float, float]]):
    logits = torch.tensor(rows)
    target = harden_balanced(logits)[:, 1]
    margin = logits[:, 1] - logits[:, 0]
    for i in range(len(rows)):
        assert (target[margin > margin[i]] >= target[i]).all()
        assert (target[margin == margin[i]] == target[i]).all()
    assert ((target > 0) & (target < 1)).sum() <= (margin == margin.quantile(0.5)).sum()


def logits_of(margins: list[float]) -> torch.Tensor:
    return torch.tensor([[0.0, margin] for margin in margins])


def test_the_middle_of_an_odd_batch_is_undecided_and_a_batch_of_one_decides_nothing():
    assert harden_balanced(logits_of([3, 1, 2]))[:, 1].tolist() == [1, 0, 0.5]
    assert harden_balanced(logits_of([9]))[:, 1].tolist() == [0.5]
    assert harden_balanced(logits_of([0, 0, 0, 0]))[:, 1].tolist() == [0.5] * 4


def test_ties_at_the_threshold_share_what_is_missing():
    assert harden_balanced(logits_of([0, 0, 0, 1]))[:, 1].tolist() == pytest.approx([1 / 3] * 3 + [1])


def test_a_biased_student_is_still_balanced():
    assert harden_balanced(logits_of([5, 6, 7, 8]))[:, 1].tolist() == [0, 0, 1, 1]


def test_the_released_threshold_gives_class_1_the_share_of_the_weak_labels():
    rng = np.random.default_rng(0)
    p1 = torch.tensor(rng.uniform(size=200), dtype=torch.float32)
    probs = torch.stack([1 - p1, p1], 1)
    labels = torch.tensor([[0.7, 0.3]]).expand(200, 2)
    assert harden_matched(probs.log(), labels)[:, 1].mean().item() == pytest.approx(0.3, abs=0.01)
    certain = torch.tensor([[0.0, 1.0]]).expand(200, 2)
    assert (
        harden_matched(probs.log(), certain)[:, 1].sum() == 199
    )  # the largest p_0 is at the threshold, as in the released code


@pytest.mark.parametrize("classes", [3, 4])
def test_more_classes_are_about_equally_frequent_whatever_the_bias(classes: int):
    rng = torch.Generator().manual_seed(1)
    logits = torch.randn(400, classes, generator=rng)
    logits[:, 0] += 5
    plain, even = hardest(logits).mean(0), harden_balanced(logits).mean(0)
    assert plain[0] > 0.9
    assert (even - 1 / classes).abs().max() < 0.02
    wanted = torch.tensor([0.5, 0.3, 0.2] + [0.0] * (classes - 3))
    found = harden_matched(logits.log_softmax(-1), wanted.expand(400, classes)).mean(0)
    assert (found - wanted).abs().max() < 0.02


def test_a_class_that_nobody_chooses_leaves_the_median_to_the_other_two():
    rng = torch.Generator().manual_seed(2)
    three = torch.cat([torch.randn(12, 2, generator=rng), torch.full((12, 1), -50.0)], 1)
    shares = harden_matched(three.log_softmax(-1), torch.tensor([[0.5, 0.5, 0.0]]).expand(12, 3))
    assert torch.equal(shares[:, :2], harden_balanced(three[:, :2]))


def test_hard_predictions_share_ties_and_have_no_gradient():
    logits = torch.tensor([[1.0, 1.0], [0.0, 2.0]], requires_grad=True)
    assert hardest(logits).tolist() == [[0.5, 0.5], [0, 1]]
    for own in (hardest(logits), harden_balanced(logits), harden_matched(logits.log_softmax(-1), logits.softmax(-1))):
        assert not own.requires_grad
