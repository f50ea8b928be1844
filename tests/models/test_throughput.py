"""What is said of a stage's speed: the FLOPs that torch counts, and the peaks of cards by the names that CUDA gives."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from w2s_sweep.config.model import Model
from w2s_sweep.config.source import LocalSource
from w2s_sweep.data.batches import pack
from w2s_sweep.kinds.shape import parse_shape
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.lora import add_lora
from w2s_sweep.models.peaks import PEAKS, peak_of
from w2s_sweep.models.throughput import Throughput
from w2s_sweep.runner.throughput import flops
from w2s_sweep.sources.weights import read_config


@pytest.mark.parametrize(("way", "within"), [("forward", 0.01), ("full", 0.01), ("lora", 0.15)])
def test_the_flops_are_those_that_torch_counts(tiny_llama_folder, way, within):
    """But of LoRA's adapters, and of the first block, whose inputs need no slope."""
    backbone = load_backbone(tiny_llama_folder)
    backbone.module.set_attn_implementation("eager")  # whose products are counted, and of all pairs of tokens
    model = Classifier(backbone)
    if way == "lora":
        add_lora(model, rank=1, alpha=1.0, targets=["q_proj"], seed=0)
    ids = torch.arange(60).view(3, 20)
    counter = FlopCounterMode(display=False)
    with counter, torch.set_grad_enabled(way != "forward"):
        logits = model(ids, torch.ones_like(ids))
        if way != "forward":
            logits.square().sum().backward()
    about = Model(name="m", source=LocalSource(path="m"), params=1, layers=backbone.layers, hidden=backbone.hidden)
    read = Throughput()
    read.add([20, 20, 20])
    found = flops(parse_shape(read_config(tiny_llama_folder), about), read, way, causal=False)
    assert found == pytest.approx(counter.get_total_flops(), rel=within)


def test_what_the_last_block_leaves_out_is_not_counted(tiny_llama_folder):
    """The products of linear layers: attention's would differ, which is computed without padding."""
    backbone = load_backbone(tiny_llama_folder)
    found = []
    for last in (False, True):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            backbone.states(*pack([[7] * 20] * 3), last=last)
        found.append(counter.get_total_flops())
    about = Model(name="m", source=LocalSource(path="m"), params=1, layers=backbone.layers, hidden=backbone.hidden)
    shape, read = parse_shape(read_config(tiny_llama_folder), about), Throughput()
    read.add([20, 20, 20])
    whole, less = (flops(shape, read, "forward", causal=True, skips=skips) for skips in (False, True))
    assert whole - less == found[0] - found[1] > 0


@pytest.mark.parametrize(
    ("name", "products", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989.4e12),
        ("NVIDIA H100 PCIe", "bf16", 756e12),
        ("NVIDIA H200", "tf32", 494.5e12),
        ("NVIDIA A100-SXM4-80GB", "bf16", 312e12),
        ("NVIDIA L40S", "bf16", 362e12),
        ("NVIDIA L4", "bf16", 121e12),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", "bf16", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "bf16", None),
        ("NVIDIA H100 PCIe", "fp32", None),
        ("Tesla V100-SXM2-16GB", "bf16", None),
    ],
)
def test_peaks_are_found_by_the_names_that_cuda_gives(name, products, peak):
    assert peak_of(name, products) == peak


def test_every_card_is_found_and_has_a_source():
    for words, bf16, tf32, source in PEAKS:
        assert peak_of(f"NVIDIA {words}", "bf16") == bf16 * 1e12 > tf32 * 1e12
        assert source.startswith("NVIDIA ")
