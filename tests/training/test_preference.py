"""Preferences: which samples make a pair, and that what is descended on pairs is DPO's loss, written again."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from w2s_sweep.losses.cross_entropy import CrossEntropy
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.load import load_backbone
from w2s_sweep.stages.prefer import end_where_ended
from w2s_sweep.training.gradient import Step, backward
from w2s_sweep.training.loop import predict
from w2s_sweep.training.preference import Drawn, PreferenceLearner, pair_of

BETA = 0.3
PAIRS = {0: ([5, 6, 7, 8], [5, 6, 9, 10, 11]), 2: ([7, 4, 4], [7, 12]), 3: ([9, 9, 9, 13], [9, 9, 9, 14])}
"""Row -> the text with its rejected answer, and with its preferred one; row 1 has no pair."""
STARTS = [2, 0, 1, 3]


def drawn(*answers, cut=()):
    return [Drawn(f"{i} is {answer}", answer, i not in cut) for i, answer in enumerate(answers)]


@pytest.mark.parametrize(
    ("own", "others", "pair"),
    [
        (drawn("3", "4", "3"), drawn("3", "5", "6"), ("0 is 3", "1 is 5")),
        (drawn("3", "4", "3"), drawn(None, "3"), ("0 is 3", "0 is None")),  # what answers nothing is no preferred text
        (
            drawn("3", "4", "3", cut={0}),
            drawn("3"),
            ("2 is 3", "1 is 4"),
        ),  # its own other answer, where there is no other
        (drawn("3", "3"), drawn("3"), None),
        (drawn("3", "4", "5"), drawn("6"), None),  # no answer of enough samples
        (drawn("3", "3", cut={0, 1}), drawn("6"), None),
        (drawn(None, None), drawn("6"), None),
        (drawn(), drawn("6"), None),
    ],
)
def test_a_pair_is_an_answer_that_samples_agree_on_and_one_that_ends_elsewhere(own, others, pair):
    found = pair_of(own, others, 0.5)
    assert (None if found is None else tuple(one.text for one in found)) == pair


def test_a_share_is_enough_where_the_kept_labels_count_it_as_enough():
    own = drawn(*"1" * 55, *"2" * 45)
    assert 55 / 100 >= 0.55
    assert pair_of(own, drawn("4"), 0.55) is not None
    assert pair_of(own, drawn("4"), 0.56) is None


def test_a_rejected_text_has_an_end_only_where_it_ended():
    whole, cut = drawn("3", "4", cut={1})
    assert end_where_ended([5, 6, 1], whole) == [5, 6, 1]
    assert end_where_ended([5, 6, 1], cut) == [5, 6]


@pytest.fixture(scope="module")
def learner(tiny_llama_folder):
    """What rewards are counted from is another model than the one that is trained."""
    model = LanguageModel(load_backbone(tiny_llama_folder))
    one = PreferenceLearner(model, PAIRS, STARTS, BETA, "fp32", 64)
    one.reference = torch.from_numpy(np.random.default_rng(0).normal(-2, 1, (4, 2))).float()
    return one


def likely(folder):
    """[rows, 2]: log-probability of the answers by the model of transformers, one text at a time."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    found = []
    for row, texts in PAIRS.items():
        for ids in texts:
            p = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            found.append(sum(p[t - 1, ids[t]] for t in range(STARTS[row], len(ids))))
    return model, torch.stack(found).view(-1, 2)


def test_loss_and_gradient_are_those_of_dpo(learner, tiny_llama_folder):
    rows = [*PAIRS]
    model, log_p = likely(tiny_llama_folder)
    rewards = BETA * log_p.detach().numpy() - learner.reference[rows].numpy()
    np.testing.assert_allclose(predict(learner, rows), rewards, rtol=1e-4, atol=1e-5)
    labels = torch.tensor([[0.0, 1.0]]).expand(4, 2)
    value = backward(Step(learner, rows, labels, CrossEntropy(), 0.0))
    margin = rewards[:, 1] - rewards[:, 0]
    assert value == pytest.approx(float(np.log1p(np.exp(-margin)).mean()), rel=1e-5)
    # d loss = -beta sigma(-margin) (d log p(preferred) - d log p(rejected)), equation 7 differentiated
    pull = torch.from_numpy(BETA / (1 + np.exp(margin)) / len(rows))
    (-(pull * (log_p[:, 1] - log_p[:, 0])).sum()).backward()
    for name in ("layers.0.mlp.up_proj", "layers.1.self_attn.q_proj"):
        expected = model.model.get_submodule(name).weight.grad
        found = learner.model.transformer.get_submodule(name).weight.grad
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-7)


def test_before_training_nothing_is_preferred(learner):
    rows = [*PAIRS]
    before = learner.reference.clone()
    learner.reference.zero_()
    learner.reference[rows] = torch.from_numpy(predict(learner, rows))
    np.testing.assert_allclose(predict(learner, rows), 0, atol=1e-6)
    learner.reference = before
