"""Each loss against its formula, written again in plain numpy, one example at a time."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence

from w2s_sweep.losses import Loss
from w2s_sweep.losses.adaptive import AdaptiveConfidence
from w2s_sweep.losses.confidence import Confidence, ConfidenceReleased, Entropy
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.losses.divergence import FDivergence
from w2s_sweep.losses.evidential import Evidential
from w2s_sweep.losses.noisy_labels import Bootstrap, GeneralisedCrossEntropy, LabelSmoothing
from w2s_sweep.losses.product import Product
from w2s_sweep.losses.reverse import ReverseCrossEntropy, ReverseKL
from w2s_sweep.losses.window import Window

Array = np.ndarray
Formula = Callable[[Array, Array], float]
"""(p, y) of one example -> its loss"""
N = 11


def data(classes: int, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(N, classes)) * 2
    labels = np.exp(rng.normal(size=(N, classes)) * 2)
    return logits, labels / labels.sum(1, keepdims=True)


def softmax(logits: Array) -> Array:
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def ce(target: Array, p: Array) -> float:
    return -sum(t * np.log(q) for t, q in zip(target, p, strict=True))


def hard(p: Array) -> Array:
    return np.eye(len(p))[np.argmax(p)]


def mixed(weight: float, own: Callable[[Array], Array]) -> Formula:
    return lambda p, y: (1 - weight) * ce(y, p) + weight * ce(own(p), p)


def adaptive(temperature: float, ramp: float) -> Formula:
    def formula(p: Array, y: Array) -> float:
        mine, theirs = np.exp(ce(hard(p), p) / temperature), np.exp(ce(hard(y), p) / temperature)
        b = ramp * mine / (mine + theirs)
        return (1 - b) * ce(y, p) + b * ce(hard(p), p)

    return formula


def product(b: float, a: float) -> Formula:
    def formula(p: Array, y: Array) -> float:
        target = p**b * y**a
        return ce(target / target.sum(), p)

    return formula


def window(radius: float) -> Formula:
    return lambda p, y: ce(y, p) if p.max() < 1 / len(p) + radius else 0.0


def jensen_shannon(p: Array, y: Array) -> float:
    m = (p + y) / 2
    return 0.5 * np.sum(y * np.log(y / m)) + 0.5 * np.sum(p * np.log(p / m))


CASES: list[tuple[Loss, float, Formula]] = [
    (CrossEntropy(), 0.5, lambda p, y: ce(y, p)),
    (Entropy(max_weight=0.6, warmup=0.2), 0.1, mixed(0.3, lambda p: p)),
    (Entropy(max_weight=0.6, warmup=0.2, stop_gradient=False), 0.9, mixed(0.6, lambda p: p)),
    (Product(strong_power=0.7, weak_power=1.3), 0.5, product(0.7, 1.3)),
    (Window(radius=0.2), 0.5, window(0.2)),
    (AdaptiveConfidence(temperature=0.5, warmup=0.25), 0.9, adaptive(0.5, 1.0)),
    (AdaptiveConfidence(temperature=2.0, warmup=0.25), 0.05, adaptive(2.0, 0.2)),
    (ReverseKL(), 0.5, lambda p, y: float(np.sum(p * np.log(p / y)))),
    (ReverseCrossEntropy(), 0.5, lambda p, y: float(-np.sum(p * np.log(y)))),
    (FDivergence(divergence="js"), 0.5, jensen_shannon),
    (FDivergence(divergence="jeffreys", label_floor=1e-9), 0.5, lambda p, y: float(np.sum((p - y) * np.log(p / y)))),
    (FDivergence(divergence="hellinger"), 0.5, lambda p, y: float(np.sum((np.sqrt(p) - np.sqrt(y)) ** 2))),
    (FDivergence(divergence="chi_squared", label_floor=1e-9), 0.5, lambda p, y: float(np.sum((p - y) ** 2 / y))),
    (FDivergence(divergence="tv"), 0.5, lambda p, y: float(np.abs(p - y).max() if len(p) == 2 else _tv(p, y))),
    (GeneralisedCrossEntropy(q=0.7), 0.5, lambda p, y: float(np.sum(y * (1 - p**0.7) / 0.7))),
    (LabelSmoothing(smoothing=0.2), 0.5, lambda p, y: ce(0.8 * y + 0.2 / len(y), p)),
    (Bootstrap(target="hard", label_weight=0.8), 0.5, lambda p, y: ce(0.8 * y + 0.2 * hard(p), p)),
    (Bootstrap(target="soft", label_weight=0.95), 0.5, lambda p, y: ce(0.95 * y + 0.05 * p, p)),
]


def _tv(p: Array, y: Array) -> float:
    return float(np.abs(p - y).sum() / 2)


def value_of(loss: Loss, logits: Array, labels: Array, progress: float) -> Array:
    return loss(torch.tensor(logits), torch.tensor(labels), progress).numpy()


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize(("loss", "progress", "formula"), CASES, ids=[repr(loss) for loss, _, _ in CASES])
def test_the_loss_is_its_formula(loss: Loss, progress: float, formula: Formula, classes: int):
    logits, labels = data(classes)
    expected = [formula(p, y) for p, y in zip(softmax(logits), labels, strict=True)]
    np.testing.assert_allclose(value_of(loss, logits, labels, progress), expected, rtol=1e-6)


def test_confidence_is_its_formula():
    logits, labels = data(2)
    logits, labels = logits[:10], labels[:10]
    p = softmax(logits)
    own = np.eye(2)[(p[:, 1] > np.median(p[:, 1])).astype(int)]
    assert own.sum(0).tolist() == [5, 5]
    expected = [0.25 * ce(y, q) + 0.75 * ce(k, q) for k, q, y in zip(own, p, labels, strict=True)]
    np.testing.assert_allclose(value_of(Confidence(max_weight=0.75), logits, labels, 0.3), expected, rtol=1e-6)


@pytest.mark.parametrize(("progress", "coefficient"), [(0.06, 0.03), (0.1, 0.05), (0.11, 0.5)])
def test_released_confidence_is_the_released_formula(progress: float, coefficient: float):
    logits, labels = data(2)
    p = softmax(logits)
    threshold = np.quantile(p[:, 0], labels[:, 1].mean())
    own = np.stack([p[:, 0] >= threshold, p[:, 0] < threshold], axis=1).astype(float)
    targets = (1 - coefficient) * labels + coefficient * own
    expected = [ce(t, q) for t, q in zip(targets, p, strict=True)]
    np.testing.assert_allclose(value_of(ConfidenceReleased(), logits, labels, progress), expected, rtol=1e-6)


def test_the_median_window_is_as_wide_as_the_labels_are_certain():
    logits, labels = data(2)
    radius = float(np.median(np.abs(labels[:, 1] - 0.5)))
    expected = [window(radius)(p, y) for p, y in zip(softmax(logits), labels, strict=True)]
    np.testing.assert_allclose(value_of(Window(radius="median"), logits, labels, 0.5), expected, rtol=1e-6)
    assert 0 < np.count_nonzero(expected) < N


def divergence_from_flat(alpha: Array) -> float:
    """KL(Dirichlet(alpha) || Dirichlet(1, ..., 1))"""
    one, flat = Dirichlet(torch.tensor(alpha)), Dirichlet(torch.ones(len(alpha), dtype=torch.float64))
    return float(kl_divergence(one, flat))


@pytest.mark.parametrize("classes", [2, 3])
def test_evidential_is_the_marginal_likelihood_of_each_vote_and_a_prior(classes: int):
    logits, labels = data(classes)
    expected = []
    for z, y in zip(logits, labels, strict=True):
        alpha = 1 + np.exp(z)
        target = 0.9 * y + 0.1 * hard(z)
        each = [
            np.log(alpha.sum())
            - np.log(alpha[k])
            + 0.5 * 0.2 * divergence_from_flat(np.where(np.arange(classes) == k, 1, alpha))
            for k in range(classes)
        ]
        expected.append(target @ each)
    loss = Evidential(kl=0.5, max_weight=0.2, warmup=0.4)
    np.testing.assert_allclose(value_of(loss, logits, labels, 0.2), expected, rtol=1e-6)


def test_the_evidence_of_several_supervisors_is_their_votes():
    logits, first = data(3)
    _, second = data(3, seed=1)
    loss = Evidential(kl=1.0)
    apart = [value_of(loss, logits, labels, 0.5) for labels in (first, second)]
    np.testing.assert_allclose(value_of(loss, logits, (first + second) / 2, 0.5), np.mean(apart, axis=0), rtol=1e-6)


def slope_of(loss: Loss, logits: Array, labels: Array, progress: float = 0.9) -> Array:
    x: Tensor = torch.tensor(logits, requires_grad=True)
    loss(x, torch.tensor(labels), progress).sum().backward()
    assert x.grad is not None
    return x.grad.numpy()


@pytest.mark.parametrize("classes", [2, 4])
def test_constant_targets_have_the_gradient_p_minus_target(classes: int):
    logits, labels = data(classes)
    p = softmax(logits)
    np.testing.assert_allclose(slope_of(Entropy(max_weight=0.6), logits, labels), 0.4 * (p - labels), rtol=1e-6)
    target = p * labels
    target /= target.sum(1, keepdims=True)
    np.testing.assert_allclose(slope_of(Product(), logits, labels), p - target, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_adaptive_weight_is_constant_in_the_gradient(classes: int):
    logits, labels = data(classes)
    p = softmax(logits)
    own, theirs = np.stack([hard(q) for q in p]), np.stack([hard(y) for y in labels])
    e = [np.exp(np.array([ce(t, q) for t, q in zip(side, p, strict=True)]) / 0.5) for side in (own, theirs)]
    b = (e[0] / (e[0] + e[1]))[:, None]
    expected = (1 - b) * (p - labels) + b * (p - own)
    np.testing.assert_allclose(slope_of(AdaptiveConfidence(), logits, labels), expected, rtol=1e-6, atol=1e-12)


def test_disjoint_supports_keep_the_weak_label_as_the_target_of_the_product():
    logits, labels = np.array([[1e4, -1e4]]), np.array([[0.0, 1.0]])
    np.testing.assert_allclose(slope_of(Product(), logits, labels), [[1.0, -1.0]])
    np.testing.assert_allclose(value_of(Product(), logits, labels, 0.5), [2e4])


@pytest.mark.parametrize("name", ["js", "jeffreys", "hellinger", "chi_squared", "tv"])
def test_divergences_vanish_at_the_label_and_only_there(name: str):
    loss = FDivergence(divergence=name)  # pyright: ignore[reportArgumentType]
    labels = np.array([[0.3, 0.7], [0.2, 0.8], [0.5, 0.5]])
    same = value_of(loss, np.log(labels), labels, 0.5)
    np.testing.assert_allclose(same, 0, atol=1e-7)
    assert (value_of(loss, np.log(labels[:, ::-1]), labels, 0.5)[:2] > 0.01).all()


def test_gce_lies_between_cross_entropy_and_mean_absolute_error():
    logits, labels = data(3)
    p = softmax(logits)
    almost_ce = value_of(GeneralisedCrossEntropy(q=1e-6), logits, labels, 0.5)
    np.testing.assert_allclose(almost_ce, value_of(CrossEntropy(), logits, labels, 0.5), rtol=1e-4)
    mae = value_of(GeneralisedCrossEntropy(q=1.0), logits, labels, 0.5)
    np.testing.assert_allclose(mae, (labels * (1 - p)).sum(1), rtol=1e-6)
