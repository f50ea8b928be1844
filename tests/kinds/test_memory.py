"""The memory that is planned against what autograd keeps of real models, and what of it fits."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    Olmo2Config,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from tests.setups import model
from w2s_sweep.data.batches import pack
from w2s_sweep.kinds.activations import of_block
from w2s_sweep.kinds.memory import CONTEXT, COUNTS, HEADROOM, LOGITS, Memory, fewest, fit, training
from w2s_sweep.kinds.shape import Shape, guess_shape, parse_shape
from w2s_sweep.models.backbone import Backbone, first_position
from w2s_sweep.models.checkpointing import checkpoint_blocks
from w2s_sweep.models.last_block import skip_unread
from w2s_sweep.models.lora import add_lora
from w2s_sweep.models.packed import enable_packing

LLAMA = {"hidden_size": 64, "intermediate_size": 168, "num_attention_heads": 4, "vocab_size": 50}
GROUPED = LLAMA | {"num_key_value_heads": 2}
FAMILIES = {
    "llama": (LlamaConfig, GROUPED, ("q_proj", "v_proj")),
    "qwen2": (Qwen2Config, GROUPED, ("q_proj", "v_proj")),
    "qwen3": (Qwen3Config, GROUPED | {"head_dim": 32}, ("q_proj", "v_proj")),
    "olmo2": (Olmo2Config, GROUPED | {"pad_token_id": 0}, ("q_proj", "v_proj")),
    "gemma3": (Gemma3TextConfig, GROUPED | {"head_dim": 32}, ("q_proj", "v_proj")),
    "gpt2": (
        GPT2Config,
        {"n_embd": 64, "n_head": 4, "vocab_size": 50, "activation_function": "gelu_pytorch_tanh"},
        ("c_attn",),
    ),
    "neox": (GPTNeoXConfig, LLAMA | {"intermediate_size": 256}, ("query_key_value",)),
    "bert": (BertConfig, LLAMA | {"intermediate_size": 256}, ("query", "value")),
}


class Held(torch.nn.Module):
    def __init__(self, transformer: PreTrainedModel):
        super().__init__()
        self.transformer = transformer


def build(family: str, layers: int, rank: int | None) -> tuple[torch.nn.Module, PretrainedConfig]:
    """A model as a stage trains it: every weight in 32 bits, or adapters on frozen weights in 16."""
    cls, sizes, targets = FAMILIES[family]
    name = "n_layer" if family == "gpt2" else "num_hidden_layers"
    config = cls(**sizes, **{name: layers}, use_cache=False)
    torch.manual_seed(0)
    transformer: PreTrainedModel = AutoModel.from_config(config, attn_implementation="sdpa").eval()
    if rank is not None:
        torch.nn.Module.to(transformer, torch.bfloat16)
        add_lora(Held(transformer), rank=rank, alpha=16, targets=targets, seed=0)
        for parameter in transformer.parameters():
            parameter.data = parameter.data.float() if parameter.requires_grad else parameter.data
    return transformer, config


class NoTokenizer:
    pad_token_id = 1


def kept(transformer: torch.nn.Module, precision: str, rows: int = 3, tokens: int = 59) -> float:
    """Bytes that autograd keeps of a forward pass, weights and their copies apart, for each token."""
    ids = torch.randint(5, 50, (rows, tokens))
    return (
        kept_by(lambda: transformer(input_ids=ids, attention_mask=torch.ones_like(ids)), transformer, precision)
        / rows
        / tokens
    )


def kept_by(compute: Callable[[], Any], transformer: torch.nn.Module, precision: str) -> float:
    """Bytes that autograd keeps of what is computed, weights and their copies apart."""
    own = {t.untyped_storage().data_ptr() for t in [*transformer.parameters(), *transformer.buffers()]}
    shapes = {
        tuple(shape) for p in transformer.parameters() for shape in (p.shape, p.T.shape if p.dim() == 2 else p.shape)
    }
    found: dict[int, int] = {}
    alive: list[torch.Tensor] = []  # a storage that was freed would give its address to another one

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and tuple(tensor.shape) not in shapes:
            found[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
    ):
        compute()
    return sum(found.values())


def blocks_of(transformer: torch.nn.Module, layers: int) -> torch.nn.ModuleList:
    return next(m for m in transformer.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == layers)


def shape_of(config: PretrainedConfig, layers: int, params: float = 0) -> Shape:
    """As the plan reads it from config.json."""
    published = dataclasses.replace(model("m"), layers=layers, hidden=64, params=max(1, int(params)))
    return parse_shape(config.to_dict(), published)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("precision", "rank"), [("bf16", None), ("fp32", None), ("bf16", 4)])
def test_the_activations_of_a_block_are_what_autograd_keeps(family, precision, rank):
    (small, config), (large, _) = build(family, 1, rank), build(family, 3, rank)
    measured = (kept(large, precision) - kept(small, precision)) / 2
    planned = of_block(shape_of(config, 3), "full" if rank is None else "lora", precision)
    assert planned == pytest.approx(measured, rel=0.05)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rank", [None, 4])
def test_with_checkpointing_a_pass_keeps_the_inputs_of_its_blocks(family, rank):
    measured = []
    for layers in (3, 6):
        transformer, config = build(family, layers, rank)
        checkpoint_blocks(blocks_of(transformer, layers))
        measured.append(kept(transformer, "bf16"))
    adapters = None if rank is None else (rank, FAMILIES[family][2])
    few, many = (training(shape_of(config, layers), "bf16", 1, adapters=adapters, stopping=False) for layers in (3, 6))
    assert (many.token_checkpointed or 0) - (few.token_checkpointed or 0) == pytest.approx(
        measured[1] - measured[0], rel=0.05
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("precision", "rank"), [("bf16", None), ("fp32", None), ("bf16", 4)])
def test_what_the_last_block_leaves_out_is_not_planned(family, precision, rank):
    transformer, config = build(family, 3, rank)
    packed = enable_packing(transformer, first_position(transformer), 1, ())
    own = Backbone(transformer, NoTokenizer(), 3, 64, is_decoder=True, tied=False, folder=Path(), packs=True)
    backbone = dataclasses.replace(own, skips=skip_unread(own, packed, (TypeError,)))
    batch = pack([torch.randint(5, 50, (59,)).tolist() for _ in range(3)])
    whole, last = (
        kept_by(lambda last=last: backbone.states(*batch, last=last), transformer, precision) / 3 / 59
        for last in (False, True)
    )
    adapters = None if rank is None else (rank, FAMILIES[family][2])
    every, few = (
        training(shape_of(config, 3), precision, 1, adapters=adapters, stopping=False, last=last).token
        for last in (False, True)
    )
    # What goes into the layer is not planned as saved, nor what the tokens that are read keep.
    assert 0.03 * whole > whole - last - (every - few) > -0.005 * whole
    assert (whole > last) == (every > few) == (family != "bert")


@pytest.mark.parametrize("stopping", [False, True])
def test_full_fine_tuning_holds_weights_gradients_and_moments(stopping):
    shape = Shape("llama", params=1e9, layers=10, hidden=1000, queries=1000, keys=1000, inner=3000, heads=8)
    need = training(shape, "fp32", 1, adapters=None, stopping=stopping)
    assert need.fixed == 1e9 * (20 if stopping else 16)
    half = training(shape, "bf16", 1, adapters=None, stopping=stopping)
    assert half.fixed - need.fixed == 2 * 10 * 1000 * (4 * 1000 + 3 * 3000)  # copies of the linear layers


def test_adapters_on_frozen_weights_hold_half_of_what_those_take_and_little_more():
    shape = Shape("llama", params=1e9, layers=10, hidden=1000, queries=1000, keys=500, inner=3000, heads=8)
    need = training(shape, "bf16", 1, adapters=(8, ("q_proj", "v_proj")), stopping=False)
    assert need.fixed == 2e9 + 18 * 8 * 10 * (2000 + 1500)


def test_further_students_add_their_adapters_with_gradients_moments_and_copies():
    shape = guess_shape(model("m"))
    need = training(shape, "bf16", 10, adapters=(8, ("q_proj",)), stopping=True)
    trained = 8 * shape.adapter_size(("q_proj",)) * shape.layers
    assert need.students(3).fixed - need.fixed == 2 * trained * (4 + 4 + 8 + 4 + 2) > 0
    assert need.students(3).token == need.token
    assert need.students(1) == need


@pytest.mark.parametrize(
    ("room", "found"),
    [
        (8192 * 10, (False, 8192)),
        (3000 * 10, (False, 3000)),
        (2000 * 10, (True, 8192)),  # computing twice is better than tiny passes
        (300 * 2, (True, 300)),
        (99 * 2, None),
    ],
)
def test_the_fastest_way_that_fits_is_taken(room, found):
    need = Memory(fixed=1e9, token=10, token_checkpointed=2, least=100)
    how = fit(need, (1e9 + CONTEXT + room) / HEADROOM + 1)
    assert (how and (how.checkpointing, how.tokens)) == found
    assert how is None or how.device == pytest.approx(CONTEXT + 1e9 + how.tokens * (2 if how.checkpointing else 10))


def test_a_row_longer_than_a_pass_goes_whole():
    need = Memory(fixed=1e9, token=10, token_checkpointed=2, least=20_000)
    how = fit(need, 80e9)
    assert how is not None
    assert (how.checkpointing, how.tokens) == (False, 20_000)


def test_a_stage_on_the_cpu_holds_nothing_on_a_device():
    assert Memory().device(1000) == 0


def test_a_published_model_is_guessed_from_its_size_and_width():
    """Llama 3.1 8B, whose blocks have keys of a quarter of the queries and 3.5 times the width inside."""
    shape = guess_shape(dataclasses.replace(model("m"), params=7_500_000_000, layers=32, hidden=4096))
    assert shape.inner == pytest.approx(14336, rel=0.15)
    first = guess_shape(dataclasses.replace(model("m"), params=7_500_000_000, layers=32, hidden=4096, keep_layers=8))
    assert (first.layers, first.params) == (8, 7_500_000_000 / 4)


def test_likelihoods_need_an_unembedding_in_32_bits():
    shape = Shape("llama", 1e9, 10, 1000, queries=1000, keys=500, inner=3000, heads=8, vocabulary=100_000)
    lora = {"adapters": (8, ("q_proj",)), "stopping": False}
    full = {"adapters": None, "stopping": True}
    for how, bytes_ in ((lora, 4), (full, 20)):
        with_head, without = (training(shape, "bf16", 1, **how, language=one).fixed for one in (True, False))
        assert with_head - without == 1e8 * bytes_ + LOGITS


def test_features_hold_the_blocks_that_run():
    shape = Shape("llama", 1e9, 10, 1000, queries=1000, keys=500, inner=3000, heads=8)
    assert (shape.first(0.6).params, shape.first(0.6).layers) == (6e8, 6)


def test_several_gpus_hold_a_share_each_and_what_is_gathered():
    shape = Shape("llama", params=8e9, layers=10, hidden=1000, queries=1000, keys=1000, inner=3000, heads=8)
    need = training(shape, "fp32", 1, adapters=None, stopping=False)
    block = 1000 * (4 * 1000 + 3 * 3000)
    outside = 8e9 - 10 * block
    assert need.on(1) is need
    assert need.on(4).fixed == pytest.approx(16 * 8e9 / 4 + block * (2 * 4 + 4) + outside * (4 + 4))


@pytest.mark.parametrize(("size", "counts", "gpus"), [(1e9, COUNTS, 1), (9.5e9, COUNTS, 4), (9.5e9, (1,), 1)])
def test_the_fewest_gpus_that_fit_are_taken(size, counts, gpus):
    shape = Shape("llama", size, layers=40, hidden=4096, queries=4096, keys=1024, inner=14336, heads=32)
    need = training(shape, "bf16", 512, adapters=None, stopping=False)
    assert fewest(need, 80e9, counts) == gpus
    assert (fit(need.on(gpus), 80e9) is None) == (counts == (1,))
