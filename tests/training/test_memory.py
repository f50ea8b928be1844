"""A step that runs out of memory is repeated with smaller forward passes, and changes nothing that they would not."""

import logging

import numpy as np
import pytest
import torch

from w2s_sweep.errors import W2SError
from w2s_sweep.losses.confidence import ConfidenceReleased
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.load import load_backbone
from w2s_sweep.stages.finetune import TextLearner
from w2s_sweep.training.loop import Recipe, predict, train

ROWS = 24
RECIPE = Recipe(batch_size=12, epochs=2, lr=1e-3, seed=5)


class Small(TextLearner):
    """Has memory for so many tokens; what does not fit is found out late, with gradients of other parts there."""

    room: int | None = None
    passes: int = 0

    def logits(self, rows):
        self.passes += 1
        found = super().logits(rows)
        if self.room is not None and self.tokens_of(rows) > self.room:
            found.sum().backward() if found.requires_grad else None
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return found


def build(folder, budget, room=None):
    draw = np.random.default_rng(0)
    tokens = [draw.integers(3, 300, size=draw.integers(1, 17)).tolist() for _ in range(ROWS)]
    learner = Small(Classifier(load_backbone(folder, dropout=0.2)), tokens, "fp32", budget)
    learner.room = room
    learner.mode(training=True)
    return learner


def fit(learner, loss):
    train(learner, range(ROWS), torch.eye(2)[[0, 1] * (ROWS // 2)], loss, RECIPE)
    return {name: param.detach().clone() for name, param in learner.trainable().items()}


@pytest.mark.slow
@pytest.mark.parametrize("loss", [CrossEntropy(), ConfidenceReleased()], ids=["decomposes", "batch statistic"])
def test_a_training_without_room_ends_as_one_with_the_small_budget(tiny_llama_folder, caplog, loss):
    """Also the dropout masks are those of a run that had the small budget from the start."""
    expected = fit(build(tiny_llama_folder, 40), loss)
    small = build(tiny_llama_folder, 160, room=50)
    with caplog.at_level(logging.WARNING):
        found = fit(small, loss)
    assert small.token_budget == 40
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    told = [record for record in caplog.records if "out of memory" in record.message]
    assert len(told) == 2  # 160 to 80 to 40, in the first step; no later one tries more


def test_a_row_that_does_not_fit_is_an_error_that_says_what_helps(tiny_llama_folder):
    with pytest.raises(W2SError, match=r"a single row does not fit.*max_tokens.*lora.*bf16.*Tried to allocate"):
        fit(build(tiny_llama_folder, 160, room=3), CrossEntropy())


def test_predictions_go_on_with_smaller_passes(tiny_llama_folder):
    learner = build(tiny_llama_folder, 160, room=50)
    learner.mode(training=False)
    torch.nn.init.normal_(learner.model.head.weight)
    found = predict(learner, range(ROWS))
    assert learner.token_budget == 40
    learner.room, learner.token_budget = None, 1000
    np.testing.assert_allclose(found, predict(learner, range(ROWS)), atol=1e-5)
