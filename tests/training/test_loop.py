"""The loop: equal to plain PyTorch, independent of micro-batches, exact after a resume."""

import math
import weakref
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch

from w2s_sweep.config.schema import schema
from w2s_sweep.data.batches import optimizer_batches, pad
from w2s_sweep.errors import Preempted, W2SError
from w2s_sweep.losses import Loss
from w2s_sweep.losses.confidence import ConfidenceReleased
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.losses.product import Product
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.load import load_backbone
from w2s_sweep.stages.finetune import TextLearner
from w2s_sweep.stages.probe import LinearProbe
from w2s_sweep.training.gradient import Step, backward
from w2s_sweep.training.loop import Hooks, Recipe, predict, train

ROWS, CLASSES = 96, 2


@schema
class AboveMedian(Loss, choice=False):
    """A loss with a batch statistic: each example's target depends on the median logit of the whole batch."""

    name: Literal["above_median"] = "above_median"
    uses_batch_statistic: ClassVar[bool] = True

    def __call__(self, logits, labels, progress):
        hard = (logits[:, 1] > logits[:, 1].detach().median()).float()
        return (hard - logits.softmax(-1)[:, 1]).square() + CrossEntropy()(logits, labels, progress)


def random_tokens(vocabulary, seed=0):
    draw = np.random.default_rng(seed)
    return [draw.integers(0, vocabulary, size=draw.integers(1, 24)).tolist() for _ in range(ROWS)]


def soft(seed=1):
    p = torch.rand(ROWS, generator=torch.Generator().manual_seed(seed))
    return torch.stack([1 - p, p], 1)


@pytest.fixture(scope="module")
def folder(tiny_llama_folder):
    return tiny_llama_folder


def learner(folder, token_budget=10**6):
    backbone = load_backbone(folder)
    model = Classifier(backbone, classes=CLASSES, pooling="last").train()
    return TextLearner(model, random_tokens(len(backbone.embedding)), "fp32", token_budget)


RECIPE = Recipe(batch_size=32, epochs=2, lr=1e-3, seed=5)


def losses_of(learner, loss=None, recipe=RECIPE):
    values = []
    hooks = Hooks(report=lambda step, steps, value, lr: values.append(value))
    train(learner, range(ROWS), soft(), loss or CrossEntropy(), recipe, hooks)
    return values


def naive_target(p, y, progress):
    """The weak labels (Burns et al. 2023)."""
    return y


def released_target(p, y, progress):
    """The confidence loss of the code released with the paper, with its defaults (a warm-up of .1, a weight of .5)."""
    weight = 0.5 if progress > 0.1 else 0.5 * progress
    zero = (p[:, 0] >= torch.quantile(p[:, 0], y[:, 1].mean())).float()
    return (1 - weight) * y + weight * torch.stack([zero, 1 - zero], 1)


def product_target(p, y, progress):
    """p * y, scaled to sum to 1."""
    return p * y / (p * y).sum(1, keepdim=True)


def plain_loop(folder, target_of=naive_target):
    """The same training as an ordinary PyTorch script would write it."""
    backbone = load_backbone(folder)
    transformer, pad_id = backbone.module, backbone.pad_id
    head = torch.nn.Linear(backbone.hidden, CLASSES)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    tokens, labels = random_tokens(len(backbone.embedding)), soft()
    params = [*transformer.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(params, lr=1e-3)
    batches = optimizer_batches(ROWS, 32, 2, 5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=len(batches))
    values = []
    for step, batch in enumerate(batches):
        ids, mask = pad([tokens[i] for i in batch], pad_id)
        hidden = transformer(input_ids=ids, attention_mask=mask).last_hidden_state
        last = hidden[torch.arange(len(batch)), mask.sum(1) - 1]
        logits = head(last)
        target = target_of(logits.detach().softmax(1), labels[torch.from_numpy(batch)], step / len(batches))
        loss = torch.nn.functional.cross_entropy(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        values.append(loss.item())
    return values


@pytest.mark.parametrize(
    ("loss", "target_of"),
    [(CrossEntropy(), naive_target), (ConfidenceReleased(), released_target), (Product(), product_target)],
    ids=["naive", "confidence_released", "product"],
)
def test_every_step_equals_a_plain_pytorch_loop(folder, loss, target_of):
    ours, plain = losses_of(learner(folder), loss), plain_loop(folder, target_of)
    assert len(ours) == len(plain) == 6
    np.testing.assert_allclose(ours, plain, atol=1e-5)
    assert ours[-1] != ours[0]


@pytest.mark.slow
@pytest.mark.parametrize("loss", [CrossEntropy(), AboveMedian()], ids=["decomposes", "batch statistic"])
@pytest.mark.parametrize("size", [1, 4])
def test_losses_do_not_depend_on_the_micro_batch(folder, loss, size):
    recipe = replace(RECIPE, epochs=1)
    whole = losses_of(learner(folder), loss, recipe)
    split = learner(folder)
    split.micro_batches = lambda rows: [list(rows[i : i + size]) for i in range(0, len(rows), size)]
    np.testing.assert_allclose(losses_of(split, loss, recipe), whole, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [CrossEntropy(), AboveMedian()], ids=["decomposes", "batch statistic"])
def test_gradients_do_not_depend_on_the_micro_batch(folder, loss):
    grads = []
    for budget in (10**6, 64, 1):
        one = learner(folder, budget)
        torch.nn.init.normal_(one.model.head.weight, generator=torch.Generator().manual_seed(0))
        backward(Step(one, range(32), soft(), loss, 0.0))
        grads.append(torch.cat([p.grad.flatten() for p in one.trainable().values()]))
    torch.testing.assert_close(grads[1], grads[0], atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(grads[2], grads[0], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("loss", [CrossEntropy(), AboveMedian()], ids=["decomposes", "batch statistic"])
def test_weighted_gradients_are_weighted_sums_whatever_the_micro_batch(loss):
    """The statistic of the batch is the one without weights: each example's gradient is scaled, nothing else."""
    features = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    weights = torch.rand(12, generator=torch.Generator().manual_seed(1)) * 2

    def slope(weights, size, of=range(12)):
        probe = LinearProbe(features, 2, 0.0)
        torch.nn.init.normal_(probe.weight, generator=torch.Generator().manual_seed(2))
        probe.micro_batches = lambda rows: [list(rows[i : i + size]) for i in range(0, len(rows), size)]
        backward(Step(probe, of, soft()[:12], loss, 0.0, weights))
        return probe.weight.grad

    whole = slope(weights, 12)
    for size in (1, 5):
        torch.testing.assert_close(slope(weights, size), whole, atol=1e-6, rtol=1e-4)
    alone = [slope(torch.eye(12)[i], 12) for i in range(12)]
    torch.testing.assert_close(sum(w * g for w, g in zip(weights, alone, strict=True)), whole, atol=1e-6, rtol=1e-4)


def test_micro_batching_keeps_one_graph_alive_at_a_time():
    """Each part's graph is gone before the next forward pass, or micro-batching would save no memory."""
    kept, alive = [], []

    class Kept(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.token = type("Token", (), {})()  # lives as long as the graph does
            kept.append(weakref.ref(ctx.token))
            return x.clone()

        @staticmethod
        def backward(ctx, slope):
            return slope

    class Watched(LinearProbe):
        def micro_batches(self, rows):
            return [[row] for row in rows]

        def logits(self, rows):
            alive.append(sum(ref() is not None for ref in kept))
            return Kept.apply(super().logits(rows))

    for loss in (CrossEntropy(), AboveMedian()):
        backward(Step(Watched(torch.randn(8, 3), 2, 0.0), range(8), soft()[:8], loss, 0.0))
    assert len(kept) == 8 + 16
    assert max(alive) <= 1


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_learning_rate_schedule(schedule):
    recipe = Recipe(batch_size=1, epochs=1, lr=2.0, seed=0, lr_schedule=schedule, lr_warmup=0.2)
    rates = [recipe.lr_at(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[19] == rates[20] == 2.0
    assert all(np.diff(rates[:20]) > 0)
    assert all(np.diff(rates[20:]) <= 0)
    ends = {"cosine": 1 + math.cos(math.pi * 79 / 80), "linear": 2 / 80, "constant": 2.0}
    assert rates[-1] == pytest.approx(ends[schedule])


@pytest.mark.slow
@pytest.mark.parametrize("cut", range(7))
def test_a_run_stopped_anywhere_ends_bitwise_the_same(folder, tmp_path, cut):
    whole = learner(folder)
    train(whole, range(ROWS), soft(), CrossEntropy(), RECIPE)
    checkpoint = tmp_path / "checkpoint.safetensors"
    calls = iter(range(100))
    first = learner(folder)
    hooks = Hooks(checkpoint=checkpoint, stop=lambda: next(calls) == cut)
    if cut < 6:
        with pytest.raises(Preempted):
            train(first, range(ROWS), soft(), CrossEntropy(), RECIPE, hooks)
    resumed, begun = learner(folder), []
    train(resumed, range(ROWS), soft(), CrossEntropy(), RECIPE, Hooks(checkpoint=checkpoint, resumed=begun.append))
    assert begun == [cut % 6]
    np.testing.assert_array_equal(predict(resumed, range(ROWS)), predict(whole, range(ROWS)))


def test_a_checkpoint_is_loaded_into_the_model_that_predicts(folder, tmp_path):
    """A rerun once evaluated an untrained head because the checkpoint was loaded too late."""
    checkpoint = tmp_path / "checkpoint.safetensors"
    done = Recipe(batch_size=32, epochs=1, lr=1e-2, seed=0)
    first = learner(folder)
    train(first, range(ROWS), soft(), CrossEntropy(), done, Hooks(checkpoint=checkpoint, due=lambda: True))
    again = learner(folder)
    train(again, range(ROWS), soft(), CrossEntropy(), done, Hooks(checkpoint=checkpoint))
    np.testing.assert_array_equal(predict(again, range(ROWS)), predict(first, range(ROWS)))
    assert np.abs(predict(again, range(ROWS))).max() > 0


def test_the_same_seed_repeats_and_another_does_not():
    def run(seed):
        features = torch.randn(ROWS, 4, generator=torch.Generator().manual_seed(0))
        probe = LinearProbe(features, CLASSES, 0.1)
        train(probe, range(ROWS), soft(), CrossEntropy(), Recipe(batch_size=8, epochs=1, lr=0.1, seed=seed))
        return predict(probe, range(ROWS))

    np.testing.assert_array_equal(run(1), run(1))
    assert (run(1) != run(2)).any()


def test_predictions_come_back_in_the_order_asked_for(folder):
    one = learner(folder, token_budget=50)
    torch.nn.init.normal_(one.model.head.weight, generator=torch.Generator().manual_seed(0))
    order = list(np.random.default_rng(0).permutation(ROWS))
    np.testing.assert_allclose(predict(one, order), predict(one, range(ROWS))[order], atol=1e-5)


def test_a_loss_that_is_not_finite_is_an_error_that_says_what_to_do():
    probe = LinearProbe(torch.full((4, 2), math.nan), CLASSES, 0.0)
    with pytest.raises(W2SError, match=r"Lower finetune\.lr"):
        train(probe, range(4), soft()[:4], CrossEntropy(), Recipe(batch_size=4, epochs=1, lr=0.1, seed=0))
