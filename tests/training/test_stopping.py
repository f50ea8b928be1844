"""Early stopping: the best evaluation's parameters, the earliest of equal ones, the same after every resume."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from w2s_sweep.errors import Preempted
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.stages.probe import LinearProbe
from w2s_sweep.training.loop import Hooks, Recipe, predict, train
from w2s_sweep.training.stopping import EarlyStopping

ROWS, STEPS = 40, 8
RECIPE = Recipe(batch_size=10, epochs=2, lr=0.1, seed=3)


def probe():
    return LinearProbe(torch.randn(ROWS, 5, generator=torch.Generator().manual_seed(0)), 2, 0.1)


def labels():
    p = torch.rand(ROWS, generator=torch.Generator().manual_seed(1))
    return torch.stack([1 - p, p], 1)


def run(scores, hooks=None, learner=None, recipe=RECIPE):
    """(step of the final parameters, the learner, what was reported) with `scores` planted by evaluation."""
    learner, seen = learner or probe(), []
    planted = iter(scores)
    stopping = EarlyStopping(lambda: next(planted), len(scores))
    hooks = hooks or Hooks(evaluated=lambda step, steps, score: seen.append((step, steps, score)))
    step = train(learner, range(ROWS), labels(), CrossEntropy(), recipe, hooks, stopping=stopping)
    return step, learner, seen


def weights_after(step):
    """The weights of an undisturbed training after so many steps."""
    learner = probe()
    asked = iter(range(STEPS + 1))
    hooks = Hooks(stop=lambda: next(asked) == step)
    if step < STEPS:
        with pytest.raises(Preempted):
            train(learner, range(ROWS), labels(), CrossEntropy(), RECIPE, hooks)
    else:
        train(learner, range(ROWS), labels(), CrossEntropy(), RECIPE)
    return learner.weight.detach()


@pytest.mark.parametrize(
    ("scores", "wanted"),
    [([0.1, 0.9, 0.3, 0.2], 4), ([0.1, 0.2, 0.3, 0.4], 8), ([0.5, 0.7, 0.7, 0.7], 4), ([0.0, 0.0, 0.0, 0.0], 2)],
    ids=["in the middle", "at the end", "the earliest of equals", "nothing right"],
)
def test_the_planted_best_step_wins(scores, wanted):
    step, learner, seen = run(scores)
    assert step == wanted
    assert seen == [(2 * i + 2, STEPS, score) for i, score in enumerate(scores)]
    assert torch.equal(learner.weight.detach(), weights_after(wanted))


@given(st.integers(1, 300), st.integers(1, 30))
def test_evaluations_are_evenly_spaced_and_the_last_follows_the_last_step(steps, evaluations):
    stopping = EarlyStopping(lambda: 0.0, evaluations)
    due = [step for step in range(1, steps + 1) if stopping.due(step, steps)]
    assert len(due) == min(steps, evaluations)
    assert due[-1] == steps
    gaps = np.diff([0, *due])
    assert gaps.max() - gaps.min() <= 1 or evaluations >= steps


@pytest.mark.parametrize("cut", range(STEPS + 1))
def test_a_run_stopped_anywhere_keeps_the_same_best_parameters(tmp_path, cut):
    """Scores are those of the learner itself, so a resumed run that lost its best would choose another."""

    def trained(hooks):
        learner = probe()
        target = labels()[:, 1].numpy() > 0.45
        stopping = EarlyStopping(lambda: float((predict(learner, range(ROWS)).argmax(1) == target).mean()), 4)
        step = train(learner, range(ROWS), labels(), CrossEntropy(), RECIPE, hooks, stopping=stopping)
        return step, learner.weight.detach()

    step, whole = trained(Hooks())
    assert 0 < step < STEPS, "the best step must be one that a resumed run could forget"
    asked, checkpoint = iter(range(100)), tmp_path / "checkpoint.safetensors"
    if cut < STEPS:
        with pytest.raises(Preempted):
            trained(Hooks(checkpoint=checkpoint, stop=lambda: next(asked) == cut))
    else:
        trained(Hooks(checkpoint=checkpoint, due=lambda: True))
    begun = []
    again, resumed = trained(Hooks(checkpoint=checkpoint, resumed=begun.append))
    assert (again, begun) == (step, [cut])
    assert torch.equal(resumed, whole)


def test_without_early_stopping_the_last_parameters_stay():
    learner = probe()
    assert train(learner, range(ROWS), labels(), CrossEntropy(), RECIPE) == STEPS
    assert torch.equal(learner.weight.detach(), weights_after(STEPS))


@pytest.mark.parametrize("times", [2, 5])
def test_an_example_of_weight_k_is_k_copies_of_it(times):
    """For a whole-batch gradient, with weights of mean 1."""
    copies = [*range(ROWS), *[7] * (times - 1)]
    weights = torch.ones(ROWS)
    weights[7] = times
    weights *= ROWS / weights.sum()
    found = []
    for rows, given_weights in ((copies, None), (range(ROWS), weights)):
        learner = probe()
        recipe = Recipe(batch_size=len(rows), epochs=6, lr=0.05, seed=0, lr_schedule="constant")
        train(learner, list(rows), labels(), CrossEntropy(), recipe, weights=given_weights)
        found.append(learner.weight.detach())
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=1e-4)
    plain = probe()
    train(plain, range(ROWS), labels(), CrossEntropy(), Recipe(batch_size=ROWS, epochs=6, lr=0.05, seed=0))
    assert not torch.allclose(plain.weight.detach(), found[1], atol=1e-4)
    assert math.isfinite(float(found[1].sum()))
