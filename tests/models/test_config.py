"""Every file of conf/model composes, in both places of a cell, into a valid and plausible model."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose
from omegaconf import OmegaConf
from pydantic import TypeAdapter

from w2s_sweep.config.model import Model

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted((CONF / "model").glob("[a-z]*.yaml"))
NAMES = [path.stem for path in FILES]
LADDERS = ("gpt2", "pythia", "qwen2_5", "qwen3", "llama3_", "gemma3", "olmo2", "smollm2")


pytestmark = pytest.mark.usefixtures("composing")


@cache
def both_places() -> dict[str, Any]:
    """Place -> name -> settings; composed at once, since each composition takes time."""
    config = compose(overrides=[f"+model@{place}.{name}={name}" for place in ("weak", "strong") for name in NAMES])
    return {place: OmegaConf.to_container(config[place], resolve=True) for place in ("weak", "strong")}


@cache
def composed(name: str, place: str) -> Model:
    return TypeAdapter(Model).validate_json(json.dumps(both_places()[place][name]))


@pytest.mark.parametrize("name", NAMES)
def test_a_model_composes_the_same_way_in_both_places(name):
    assert composed(name, "weak") == composed(name, "strong")


@pytest.mark.parametrize("name", NAMES)
def test_parameters_fit_the_size_of_the_blocks(name):
    model = composed(name, "strong")
    layers = model.keep_layers or model.layers
    blocks, embedding = layers * model.hidden**2, 300_000 * model.hidden
    assert 4 * blocks < model.params < 40 * blocks + embedding
    assert layers <= model.layers
    assert model.feature_layer is None or model.feature_layer <= layers


def test_labels_are_unique():
    labels = [composed(name, "weak").name for name in NAMES]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("ladder", LADDERS)
def test_models_of_a_ladder_are_trained_alike(ladder):
    models = [composed(name, "weak") for name in NAMES if name.startswith(ladder)]
    assert len(models) >= 2
    assert len({model.lora_targets for model in models}) == 1
    assert len({model.label_words for model in models}) == 1
    ordered = sorted(models, key=lambda model: model.params)
    assert [model.lr_full for model in ordered] == sorted((model.lr_full for model in models), reverse=True)


def test_the_released_learning_rates_of_gpt2():
    sizes = ["gpt2", "gpt2_medium", "gpt2_large", "gpt2_xl"]
    assert [composed(size, "weak").lr_full for size in sizes] == [5e-5, 5e-5, 1e-5, 1e-5]
