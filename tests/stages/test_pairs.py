"""Pairs of texts: a reward for each, the Bradley-Terry model of both, and no difference between first and second."""

import random

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.training.test_loop import AboveMedian
from w2s_sweep.data.batches import pad
from w2s_sweep.errors import ModelError, Preempted
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.losses.wspo import Wspo
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.reward import LanguageScore
from w2s_sweep.stages.finetune import PairLearner
from w2s_sweep.stages.probe import RewardProbe
from w2s_sweep.training.gradient import Step, backward
from w2s_sweep.training.loop import Hooks, Recipe, predict, train

ROWS = 32
RECIPE = Recipe(batch_size=16, epochs=2, lr=3e-3, seed=5)
each_reward = pytest.mark.parametrize("reward", ["head", "implicit"])


def texts(vocabulary, seed=0):
    """Tokens of all first texts, then of all second ones; the two of a row begin alike."""
    draw = random.Random(seed)
    prompts = [draw.choices(range(vocabulary), k=draw.randint(1, 6)) for _ in range(ROWS)]
    return [prompt + draw.choices(range(vocabulary), k=draw.randint(1, 12)) for _ in range(2) for prompt in prompts]


def soft(seed=1):
    p = torch.rand(ROWS, generator=torch.Generator().manual_seed(seed))
    return torch.stack([1 - p, p], 1)


def exchanged(tokens, rows):
    """The two texts of the given rows swapped."""
    first, second = tokens[:ROWS], tokens[ROWS:]
    pairs = [(b, a) if row in rows else (a, b) for row, (a, b) in enumerate(zip(first, second, strict=True))]
    return [a for a, _ in pairs] + [b for _, b in pairs]


def learner(folder, reward, change=lambda tokens: tokens, token_budget=10**6):
    backbone = load_backbone(folder)
    model = LanguageScore(backbone, beta=0.1) if reward == "implicit" else Classifier(backbone, classes=1)
    tokens = change(texts(len(backbone.embedding)))
    one = PairLearner(model, tokens, "fp32", token_budget)
    if reward == "implicit":
        one.reference = torch.from_numpy(predict(one, range(ROWS)))
    return one


def losses_of(one, loss, recipe):
    values = []
    train(one, range(ROWS), soft(), loss, recipe, Hooks(report=lambda step, steps, value, lr: values.append(value)))
    return values


@pytest.fixture(scope="module")
def folder(tiny_llama_folder):
    return tiny_llama_folder


def test_the_gradient_of_a_head_is_that_of_the_bradley_terry_model(folder):
    """mean over pairs of (sigma(w (f1 - f2)) - y) (f1 - f2), for final states f1, f2 of the two texts."""
    one = learner(folder, "head")
    torch.nn.init.normal_(one.model.head.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    value = backward(Step(one, range(ROWS), soft(), CrossEntropy(), 0.0))
    with torch.no_grad():
        hidden = lambda ids: one.model.transformer(torch.tensor([ids])).last_hidden_state[0, -1]  # noqa: E731
        f1, f2 = (torch.stack([hidden(ids) for ids in part]) for part in (one.tokens, one.others))
        preferred, y = torch.sigmoid((f1 - f2) @ one.model.head.weight[0]), soft()[:, 1]
        expected = ((preferred - y)[:, None] * (f1 - f2)).mean(0)
        mean = -(y * preferred.log() + (1 - y) * (1 - preferred).log()).mean()
    torch.testing.assert_close(one.model.head.weight.grad[0], expected, rtol=1e-4, atol=1e-5)
    assert value == pytest.approx(float(mean), rel=1e-4)


def test_the_gradient_of_a_probe_is_that_of_the_bradley_terry_model():
    draw = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, ROWS, 5, generator=draw)
    probe = RewardProbe(first, second, l2=0.3)
    with torch.no_grad():
        probe.weight.normal_(generator=draw)
    backward(Step(probe, range(ROWS), soft(), CrossEntropy(), 0.0))
    w = probe.weight.detach()[0]
    errors = torch.sigmoid((first - second) @ w) - soft()[:, 1]
    torch.testing.assert_close(probe.weight.grad[0], (errors[:, None] * (first - second)).mean(0) + 0.3 * w)


def test_an_implicit_reward_learns_by_the_loss_of_dpo(folder):
    """-log sigma(beta log(pi(x1) / pi_ref(x1)) - beta log(pi(x2) / pi_ref(x2))), written out on the whole model."""
    one, whole = learner(folder, "implicit"), AutoModelForCausalLM.from_pretrained(folder)
    one.reference += torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(0))
    rows, total = range(8), 0.0
    labels = torch.tensor([[0.0, 1.0]]).repeat(ROWS, 1)
    value = backward(Step(one, rows, labels, CrossEntropy(), 0.0))
    for row in rows:
        log_p = []
        for ids in (one.others[row], one.tokens[row]):
            logits = whole(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
            log_p.append(0.1 * logits[range(len(ids) - 1), ids[1:]].sum())
        margin = (log_p[1] - one.reference[row, 1]) - (log_p[0] - one.reference[row, 0])
        total = total - torch.nn.functional.logsigmoid(margin) / len(rows)
    total.backward()
    assert value == pytest.approx(total.item(), rel=1e-4)
    ours, theirs = one.model.transformer.embed_tokens.weight.grad, whole.get_input_embeddings().weight.grad
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


@each_reward
def test_before_the_first_step_no_text_is_preferred(folder, reward):
    assert np.abs(predict(learner(folder, reward), range(ROWS))).max() == 0


@each_reward
def test_training_on_exchanged_texts_and_labels_gives_exactly_the_mirrored_rewards(folder, reward):
    plain = learner(folder, reward)
    train(plain, range(ROWS), soft(), CrossEntropy(), RECIPE)
    rows = list(range(0, ROWS, 3))
    mirrored = learner(folder, reward, lambda tokens: exchanged(tokens, rows))
    labels = soft()
    labels[rows] = labels[rows].flip(1)
    train(mirrored, range(ROWS), labels, CrossEntropy(), RECIPE)
    expected = predict(plain, range(ROWS))
    expected[rows] = expected[rows, ::-1]
    np.testing.assert_array_equal(predict(mirrored, range(ROWS)), expected)
    assert np.abs(np.diff(expected, axis=1)).max() > 0.1


@pytest.mark.slow
@each_reward
@pytest.mark.parametrize(
    ("loss", "sizes"), [(CrossEntropy(), (1, 4)), (AboveMedian(), (4,))], ids=["decomposes", "batch statistic"]
)
def test_losses_do_not_depend_on_the_micro_batch(folder, reward, loss, sizes):
    def apart():  # away from ties, which rounding would decide
        one = learner(folder, reward)
        one.reference += torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(0))
        return one

    recipe = Recipe(batch_size=32, epochs=2, lr=3e-3, seed=5)
    whole = losses_of(apart(), loss, recipe)
    for size in sizes:
        split = apart()
        split.micro_batches = lambda rows, n=size: [list(rows[i : i + n]) for i in range(0, len(rows), n)]
        np.testing.assert_allclose(losses_of(split, loss, recipe), whole, atol=1e-5)
    assert whole[-1] != whole[0]


def test_the_token_budget_counts_both_texts(folder):
    one, seen = learner(folder, "head", token_budget=100), []
    one.model.register_forward_pre_hook(
        lambda model, args, kwargs: seen.append((args[0].numel(), len(kwargs["texts"].lengths))), with_kwargs=True
    )
    predict(one, range(ROWS))
    assert max(tokens for tokens, _ in seen) <= 100
    assert sum(texts for _, texts in seen) == 2 * ROWS
    assert max(rows for rows, _ in seen) > 2


@each_reward
@pytest.mark.parametrize("cut", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_a_run_stopped_anywhere_ends_bitwise_the_same(folder, tmp_path, reward, cut):
    whole = learner(folder, reward)
    train(whole, range(ROWS), soft(), CrossEntropy(), RECIPE)
    calls, checkpoint = iter(range(100)), tmp_path / "checkpoint.safetensors"
    hooks = Hooks(checkpoint=checkpoint, stop=lambda: next(calls) == cut)
    with pytest.raises(Preempted):
        train(learner(folder, reward), range(ROWS), soft(), CrossEntropy(), RECIPE, hooks)
    resumed, begun = learner(folder, reward), []
    train(resumed, range(ROWS), soft(), CrossEntropy(), RECIPE, Hooks(checkpoint=checkpoint, resumed=begun.append))
    assert begun == [cut]
    np.testing.assert_array_equal(predict(resumed, range(ROWS)), predict(whole, range(ROWS)))


def test_one_score_can_start_as_the_difference_of_two_label_words(folder):
    backbone = load_backbone(folder)
    one, two = (Classifier(backbone, classes=n, label_words=(" bad", " good")) for n in (1, 2))
    ids, mask = pad([[7, 9], [5]], 0)
    with torch.no_grad():
        difference = two(ids, mask).diff(dim=1)
        torch.testing.assert_close(one(ids, mask), difference)
    assert difference.abs().min() > 0
    with pytest.raises(ModelError, match="1 words for 2 classes"):
        Classifier(backbone, classes=1, label_words=(" good",))


def test_wspo_compares_margins_and_scales_those_of_the_supervisor():
    student, weak = torch.tensor([[1.0, 4.0], [2.0, 0.0]]), torch.tensor([[5.0, 7.0], [0.0, 1.0]])
    torch.testing.assert_close(Wspo(gamma=0.5)(student, weak, 0.0), torch.tensor([4.0, 6.25]))
    torch.testing.assert_close(Wspo(gamma=2.0)(2 * weak + 9, weak, 0.0), torch.zeros(2))
