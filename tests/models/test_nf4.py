"""LoRA on a base in 4 bits: what it computes, what it holds, what is hashed, and what is said where it cannot be."""

from dataclasses import replace

import pytest
import torch

from tests.setups import cell, identify, model
from tests.tiny import sentences, tiny_gpt2, tiny_llama, tiny_neox
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.cells.merge import merge
from w2s_sweep.config import finetune as config
from w2s_sweep.config.finetune import Lora
from w2s_sweep.data.batches import pad
from w2s_sweep.errors import ModelError
from w2s_sweep.export.network import frozen_as_trained
from w2s_sweep.kinds.memory import NF4, fewest, training
from w2s_sweep.kinds.shape import Shape
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.lora import add_lora, trainable
from w2s_sweep.models.nf4 import is_nf4, round_to_nf4, to_nf4
from w2s_sweep.training.learners import require_trained

TARGETS = {"llama": ["q_proj", "down_proj"], "gpt2": ["c_attn", "c_proj"], "neox": ["query_key_value"]}
BUILDERS = {"llama": tiny_llama, "gpt2": tiny_gpt2, "neox": tiny_neox}
LLAMA_70B = Shape("llama", params=69.5e9, layers=80, hidden=8192, queries=8192, keys=1024, inner=28672, heads=64)


@pytest.fixture
def library():
    return pytest.importorskip("bitsandbytes", reason="the extra nf4 is not installed")


def scores(made, rows=6):
    ids, mask = pad(made.backbone.tokens(sentences(rows), 16), made.backbone.pad_id)
    return made(ids, mask)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.usefixtures("library")
def test_four_bits_compute_what_the_rounded_weights_do_and_adapters_train(tmp_path, name):
    folder = BUILDERS[name](tmp_path / "model", hidden=64)
    whole, rounded, packed = (load_backbone(folder) for _ in range(3))
    round_to_nf4(rounded)
    to_nf4(packed)
    assert (is_nf4(packed), is_nf4(rounded)) == (True, False)
    models = [Classifier(one) for one in (whole, rounded, packed)]
    for made in models:
        torch.nn.init.normal_(made.head.weight, generator=torch.Generator().manual_seed(0))
        add_lora(made, rank=4, alpha=8.0, targets=TARGETS[name], seed=0)
        require_trained(made.transformer, lora=True)
    first = [scores(made) for made in models]
    torch.testing.assert_close(first[2], first[1], atol=1e-4, rtol=1e-4)
    assert (first[1] - first[0]).abs().max() > 1e-3
    for made in models[1:]:
        optimizer = torch.optim.SGD(trainable(made).values(), lr=0.1)
        scores(made).square().sum().backward()
        optimizer.step()
    second = [scores(made) for made in models[1:]]
    torch.testing.assert_close(second[1], second[0], atol=1e-3, rtol=1e-3)
    assert (second[1] - first[2]).abs().max() > 1e-2


@pytest.mark.usefixtures("library")
def test_the_bytes_of_a_weight_are_those_that_are_planned(tmp_path):
    backbone = load_backbone(tiny_llama(tmp_path / "model", layers=1, hidden=256))
    weights = sum(layer.weight.numel() for layer in backbone.blocks.modules() if isinstance(layer, torch.nn.Linear))
    to_nf4(backbone)
    packed = [layer.weight for layer in backbone.blocks.modules() if isinstance(layer, torch.nn.Linear)]
    states = [one.quant_state for one in packed]
    held = sum(one.numel() for one in packed) + sum(s.absmax.numel() + 4 * s.state2.absmax.numel() for s in states)
    assert held / weights == pytest.approx(NF4, rel=0.05)


def test_70b_fits_one_gpu_in_4_bits_and_more_gpus_are_no_help():
    adapters = (8, ("q_proj", "v_proj"))
    half, packed = (
        training(LLAMA_70B, "bf16", 512, adapters=adapters, stopping=False, quantise=how) for how in ("none", "nf4")
    )
    assert half.fixed / 1e9 == pytest.approx(139, abs=3)
    assert packed.fixed / 1e9 == pytest.approx(39, abs=3)
    assert (fewest(half, 80e9), fewest(packed, 80e9), fewest(packed, 10e9)) == (4, 1, 1)
    assert (packed.weights, half.weights) == ("nf4", "bf16")


def test_it_enters_the_key_where_it_is_set_alone():
    found = [
        merge([cell(finetune=Lora(quantise=how), strong=replace(model("s"), lora_targets=("q",)))], identify)
        for how in ("none", "nf4")
    ]
    plain, packed = (graph.stages[graph.roles[0].student] for graph in found)
    assert plain.key != packed.key
    assert packed.settings.hashed_settings()["finetune"] == plain.settings.hashed_settings()["finetune"] | {
        "quantise": "nf4"
    }


def test_a_missing_package_is_told_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "NF4_PACKAGE", "no_such_package")
    said = "finetune.quantise: nf4 needs the package no_such_package.*set finetune.quantise=none"
    (problem,) = (one for one in problems_of(cell(finetune=Lora(quantise="nf4"))) if "quantise" in one)
    with pytest.raises(ModelError, match=said):
        to_nf4(load_backbone(tiny_llama(tmp_path / "model")))
    assert "pip install" in problem
    assert not any("quantise" in one for one in problems_of(cell(finetune=Lora())))


@pytest.mark.parametrize(
    ("summary", "dtype"),
    [
        ({"device": "cuda", "products": "bf16"}, torch.bfloat16),
        ({"device": "cuda", "products": "tf32"}, torch.float32),
        ({"device": "cpu", "products": "bf16"}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_what_is_exported_is_quantised_from_the_numbers_that_the_stage_had(summary, dtype):
    assert frozen_as_trained(summary) == dtype
