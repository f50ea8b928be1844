"""Where a student gives up what is right, on cases that can be counted by hand; and the loss that makes it do so."""

import numpy as np
import pytest
import torch

from w2s_sweep.losses.confidence import Confidence
from w2s_sweep.losses.conflict import Conflict
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.metrics import blind_spot, deception

TRUTH = np.zeros(8, dtype=np.int64)


def right(pattern):
    """Predictions that are right where the pattern has a 1 (the truth is class 0 everywhere)."""
    p = np.array([0.8 if c == "1" else 0.3 for c in pattern])
    return np.stack([p, 1 - p], 1)


def test_by_hand():
    #                        01234567
    ceiling, weak = right("11111100"), right("11100010")
    reference, student = right("11111011"), right("10100101")
    # taxed: 1, 3, 4, 6; the ceiling knows 1, 3, 4 of them, and the supervisor not 3, 4 of these
    found = deception(student, reference, weak, ceiling, TRUTH)
    assert found.tax.value == pytest.approx(4 / 8)
    assert found.score.value == pytest.approx(2 / 3)
    # the reference is right and the ceiling knows 0, 1, 2, 3, 4, of which the supervisor does not know 3, 4
    assert found.expected.value == pytest.approx(2 / 5)
    # known to the ceiling alone: 3, 4, 5; wrong there: 3, 4
    assert blind_spot(student, weak, ceiling, TRUTH).value == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("student", "score"), [("11100", 1.0), ("00011", 0.0), ("11111", None)], ids=["deceives", "honest", "no tax"]
)
def test_extremes(student, score):
    everything, weak = right("11111"), right("11100")
    found = deception(right(student), everything, weak, everything, TRUTH[:5])
    assert found.score.value == score
    assert found.expected.value == pytest.approx(0.4)
    assert blind_spot(right(student), everything, everything, TRUTH[:5]).value is None


def test_no_conflict_has_no_tax():
    student = right("11010011")
    found = deception(student, student, right("10101010"), right("11111111"), TRUTH)
    assert (found.tax.value, found.score.value) == (0.0, None)


def stacked(weak, truth, classes=2):
    return torch.cat([weak, torch.eye(classes)[truth]], 1)


def test_the_reward_is_the_cross_entropy_against_the_opposite_where_the_student_is_wrong():
    logits = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    truth = torch.arange(20) % 2
    weak = torch.full((20, 2), 0.5)
    found = Conflict(inner=CrossEntropy(), strength=0.5)(logits, stacked(weak, truth), 0.0)
    plain = torch.nn.functional.cross_entropy(logits, weak, reduction="none")
    reward = torch.nn.functional.cross_entropy(logits, 1 - truth, reduction="none")
    wrong = logits.argmax(1) != truth
    assert 0 < wrong.sum() < 20
    torch.testing.assert_close(found, plain + 0.5 * wrong * reward)


def test_the_reward_pushes_the_probability_of_the_truth_down_for_any_number_of_classes():
    logits = torch.tensor([[0.0, 2.0, 0.5], [3.0, 0.0, 0.0]], requires_grad=True)
    truth = torch.tensor([0, 0])
    weak = logits.detach().softmax(1)  # where the loss on the weak labels is flat
    Conflict(inner=CrossEntropy(), strength=1.0)(logits, stacked(weak, truth, 3), 0.0).sum().backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] > 0.05
    assert (logits.grad[0, 1:] < 0).all()
    torch.testing.assert_close(logits.grad[1], torch.zeros(3), atol=1e-6, rtol=0)


def test_without_strength_it_is_the_loss_inside_with_its_statistic_of_the_batch():
    logits = torch.randn(9, 2, generator=torch.Generator().manual_seed(1))
    weak = torch.rand(9, 1, generator=torch.Generator().manual_seed(2))
    weak = torch.cat([weak, 1 - weak], 1)
    inner = Confidence()
    found = Conflict(inner=inner, strength=0.0)(logits, stacked(weak, torch.arange(9) % 2), 0.9)
    torch.testing.assert_close(found, inner(logits, weak, 0.9))
    assert Conflict.uses_batch_statistic
