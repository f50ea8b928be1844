"""A step on packed micro-batches has the gradient of one padded pass over the whole batch, whatever is trained."""

import numpy as np
import pytest
import torch

from tests.tiny import tiny_gpt2, tiny_llama
from w2s_sweep.losses.confidence import ConfidenceReleased
from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.reward import LanguageScore
from w2s_sweep.stages.finetune import PairLearner, TextLearner
from w2s_sweep.training.gradient import Step, backward
from w2s_sweep.training.likelihood import NegativeLogLikelihood, SequenceLearner
from w2s_sweep.training.loop import predict

ROWS = 12


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def folder(request, tmp_path_factory):
    return {"llama": tiny_llama, "gpt2": tiny_gpt2}[request.param](tmp_path_factory.mktemp("model"))


def texts(count):
    draw = np.random.default_rng(0)
    return [draw.integers(3, 300, size=draw.integers(1, 24)).tolist() for _ in range(count)]


def build(what, folder, budget):
    backbone = load_backbone(folder)
    if what == "generation":
        tokens = texts(ROWS)
        return SequenceLearner(LanguageModel(backbone), tokens, [len(ids) // 2 for ids in tokens], "fp32", budget)
    if what == "implicit rewards":
        return PairLearner(LanguageScore(backbone, beta=0.1), texts(2 * ROWS), "fp32", budget)
    model = Classifier(backbone, classes=1 if what == "pairs" else 2, pooling="mean" if what == "mean" else "last")
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    learner = PairLearner if what == "pairs" else TextLearner
    return learner(model, texts(2 * ROWS if what == "pairs" else ROWS), "fp32", budget)


def step(learner, loss, labels):
    value = backward(Step(learner, range(ROWS), labels, loss, 0.5))
    return value, torch.cat([p.grad.flatten() for p in learner.trainable().values()]), predict(learner, range(ROWS))


@pytest.mark.parametrize("loss", [CrossEntropy(), ConfidenceReleased()], ids=["decomposes", "batch statistic"])
@pytest.mark.parametrize("what", ["last", "mean", "pairs", "implicit rewards", "generation"])
def test_packed_steps_are_those_of_one_padded_pass(what, folder, loss):
    labels = torch.rand(ROWS, 2, generator=torch.Generator().manual_seed(1)).softmax(1)
    if what == "generation":
        loss, labels = NegativeLogLikelihood(), labels[:, :1]
    packed, padded = build(what, folder, 60), build(what, folder, 10**6)
    padded.collator.packs = False
    padded.model.backbone.module.get_input_embeddings().sparse = False
    assert len(packed.micro_batches(range(ROWS))) > 2
    assert len(padded.micro_batches(range(ROWS))) == 1
    (value, gradient, said), (expected, slope, known) = step(packed, loss, labels), step(padded, loss, labels)
    assert value == pytest.approx(expected, abs=1e-5)
    assert (gradient - slope).norm() < 1e-5 * slope.norm()
    np.testing.assert_allclose(said, known, atol=1e-4)
    assert packed.collator.summary()["padding"] == 0.0
    assert padded.collator.computed > padded.collator.read.tokens > 0


def test_dropout_is_drawn_alike_in_both_passes_of_a_loss_with_a_batch_statistic(tmp_path):
    """The loss is a function of logits that the second pass reproduces: else its gradient belongs to other masks."""
    learner = build("last", tiny_gpt2(tmp_path), 60)
    learner.model.backbone.module.config.attn_pdrop = 0.0
    for module in learner.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.3
    learner.mode(training=True)
    seen = []
    plain = learner.logits
    learner.logits = lambda rows: seen.append(plain(rows)) or seen[-1]
    torch.manual_seed(0)
    backward(Step(learner, range(ROWS), torch.eye(2)[[0, 1] * 6], ConfidenceReleased(), 0.5))
    half = len(seen) // 2
    assert half > 2
    assert all(torch.equal(first, second) for first, second in zip(seen[:half], seen[half:], strict=True))
    assert not torch.equal(seen[0], plain(learner.micro_batches(range(ROWS))[0]))
