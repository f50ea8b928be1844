"""Probes of latent knowledge: their formulas beside independent numpy, and both as students of a cell."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.once import Once
from tests.setups import cell, identify
from tests.tiny import WORDS, tiny_gpt2, tiny_llama
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Probe
from w2s_sweep.config.model import Model
from w2s_sweep.config.prompt import Prompt
from w2s_sweep.config.source import LocalSource
from w2s_sweep.config.supervisor import Supervisor
from w2s_sweep.errors import DataError
from w2s_sweep.kinds.forward import Contrast
from w2s_sweep.methods.ccs import Ccs
from w2s_sweep.methods.mean_difference import MeanDifference
from w2s_sweep.stages.ccs import ccs_loss, normalise, probability, search
from w2s_sweep.stages.contrast import write_answered
from w2s_sweep.stages.mean_difference import class_means, logits_of, metric_of
from w2s_sweep.store.files import read_json

DRAW = np.random.default_rng(0)


def test_the_loss_of_ccs_is_that_of_the_paper():
    positive, negative = DRAW.uniform(size=7), DRAW.uniform(size=7)
    expected = np.mean(
        [(p - (1 - n)) ** 2 + min(p, n) ** 2 for p, n in zip(positive, negative, strict=True)]
    )  # equations 1 and 2 of section 2.2
    assert ccs_loss(torch.tensor(positive), torch.tensor(negative)).item() == pytest.approx(expected, rel=1e-12)
    certain = torch.tensor([1.0, 0.0])
    assert ccs_loss(certain, 1 - certain).item() == 0
    assert ccs_loss(torch.tensor([0.5]), torch.tensor([0.5])).item() == 0.25  # saying nothing costs


def test_ccs_finds_a_direction_that_says_opposite_things_of_a_pair_without_labels():
    truth, width = DRAW.integers(0, 2, 200), 6
    said = np.where(truth == 1, 1.0, -1.0)
    pairs = DRAW.normal(size=(200, 2, width)).astype(np.float32) * 0.3
    pairs[:, 1, 2] += said * 1.5  # whether the answer is right
    pairs[:, 0, 2] -= said * 1.5
    pairs[:, 1, 0] += 7  # which answer it is
    normal = normalise(pairs, list(range(200)))
    wide = pairs.astype(np.float64)
    np.testing.assert_array_equal(normal, ((wide - wide.mean(0)) / wide.std(0)).astype(np.float32))
    np.testing.assert_allclose(normal.mean(0), 0, atol=1e-5)
    graph = merge([cell(method=Ccs(epochs=150, tries=4), finetune=Probe())], identify)
    settings = graph.stages[graph.roles[0].student].settings
    theta, bias, loss = search(normal, settings)
    one = probability(normal, theta, bias)
    positive, negative = (1 / (1 + np.exp(-(normal[:, answer] @ theta + bias))) for answer in (1, 0))
    np.testing.assert_allclose(one, 0.5 * (positive + 1 - negative), rtol=1e-5)
    right = ((one > 0.5) == truth).mean()
    assert max(right, 1 - right) > 0.97
    own = np.mean((positive - (1 - negative)) ** 2 + np.minimum(positive, negative) ** 2)
    assert loss == pytest.approx(own, rel=1e-4)
    assert search(normal, settings)[2] == loss


def test_the_difference_of_means_is_the_probe_of_the_paper():
    features = DRAW.normal(size=(50, 4))
    soft = DRAW.uniform(size=50)
    labels = np.stack([1 - soft, soft], 1)
    means = class_means(features, labels)
    up, down = np.average(features, axis=0, weights=soft), np.average(features, axis=0, weights=1 - soft)
    np.testing.assert_allclose(means, [down, up])
    for whiten in (False, True):
        metric = metric_of(features, labels, means, whiten=whiten, penalty=1e-9)
        found = logits_of(features, means, metric)
        centred = [(features - mean, weight) for mean, weight in ((down, 1 - soft), (up, soft))]
        within = sum(np.cov(x.T, aweights=w, ddof=0) * w.sum() for x, w in centred) / 50
        inverse = np.linalg.inv(within) if whiten else np.eye(4)
        expected = (features - (up + down) / 2) @ inverse @ (up - down)
        np.testing.assert_allclose(found[:, 1] - found[:, 0], expected, rtol=1e-6, atol=1e-9)
    with pytest.raises(DataError, match="nothing of class 1"):
        class_means(features, np.tile([1.0, 0.0], (50, 1)))


def test_the_two_texts_of_a_contrast_pair_differ_in_the_answer_alone():
    settings = Contrast(
        model={}, max_tokens=8, pooling="last", feature_layer=None, precision="fp32", instruction="Judge.",
        question="\nThis is", words=(" bad", " good"), pair="A: {first} B: {second}",
    )  # fmt: skip
    assert write_answered(["fine"], settings) == ["Judge.\n\nfine\nThis is bad", "Judge.\n\nfine\nThis is good"]
    assert write_answered([("x", "y")], settings)[1] == "Judge.\n\nA: x B: y\nThis is good"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder, draw = tmp_path_factory.mktemp("latent"), random.Random(0)
    good, bad = ["good", "great", "fine", "superb"], ["bad", "poor", "dull", "awful"]
    with (folder / "rows.jsonl").open("w") as file:
        for i in range(96):
            words = draw.choices(WORDS[:14], k=3) + draw.choices(good if i % 2 else bad, k=3)
            file.write(json.dumps({"sentence": f" {' '.join(words)}", "label": i % 2}) + "\n")
    weak, strong = (
        Model(name=path.name, source=LocalSource(path=str(path)), params=10_000, layers=2, hidden=32)
        for path in (tiny_gpt2(folder / "weak"), tiny_llama(folder / "strong"))
    )
    rows = Dataset(
        name="own", task="sst2", source=LocalSource(path=str(folder / "rows.jsonl")), max_tokens=32,
        prompt=Prompt(words=(" bad", " good")),
    )  # fmt: skip
    probes = Probe(epochs=5, precision="fp32")
    return cell(
        dataset=rows, weak=replace(weak, pooling="mean"), strong=replace(strong, pooling="mean"), finetune=probes
    )


@pytest.mark.parametrize(
    "method", [MeanDifference(), MeanDifference(whiten=True), Ccs(epochs=50, tries=2)], ids=["means", "whitened", "ccs"]
)
def test_a_student_that_no_loss_trains_predicts_all_that_is_scored(tmp_path, base, method):
    once = Once(tmp_path, replace(base, method=method)).ran()
    student, ceiling = once.predictions("student"), once.predictions("ceiling")
    assert set(student.splits) == {"half_b", "validation", "test"}
    assert sorted(student.ids) == sorted(ceiling.ids)
    weak = once.predictions("weak").on("half_b")
    same = dict(zip(student.ids, student.probs.argmax(1), strict=True))
    agreed = np.mean([same[name] == said for name, said in zip(weak.ids, weak.probs.argmax(1), strict=True)])
    if isinstance(method, MeanDifference):
        assert agreed > 0.6  # its means are of these labels
    else:
        summary = read_json(once.store.path(once.graph.roles[0].student) / "summary.json")
        assert agreed >= 0.5
        assert agreed == pytest.approx(summary["agreement with the supervisor"])


def test_means_are_of_hard_labels_where_labels_are_to_be_hard(base):
    graph = merge([replace(base, method=MeanDifference(), supervisor=Supervisor(harden=True))], identify)
    made = graph.stages[graph.roles[0].student].inputs["labels"]
    assert graph.stages[made].kind == "harden"
