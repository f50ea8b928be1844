"""The last block without what nobody reads: the same read-outs and gradients, whatever a family's blocks look like."""

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.models.test_packed import PACKED, TEXTS, build, states_and_gradients
from tests.tiny import tiny_llama
from w2s_sweep.data.batches import pack
from w2s_sweep.models.backbone import Backbone, first_position
from w2s_sweep.models.checkpointing import checkpoint_blocks
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.grouped import twin
from w2s_sweep.models.last_block import skip_unread
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.lora import add_lora
from w2s_sweep.models.packed import enable_packing

SKIP = {
    "llama",
    "qwen2",
    "qwen3",
    "gemma3",
    "mistral",
    "phi3",
    "olmo2",
    "mixtral",
    "gpt2",
    "gpt_neox",
    "gptj",
    "distilbert",
    "modernbert",
}
"""The others have no such layer, or one that is not told which tokens are read."""


class Tokens:
    """The little that a check asks of a tokenizer."""

    pad_token_id = 1


def backbone_of(module: Any) -> tuple[Backbone, Any]:
    packed = enable_packing(module, first_position(module), 1, ())
    packs = packed is not None
    return Backbone(module, Tokens(), 2, 32, is_decoder=True, tied=False, folder=Path(), packs=packs), packed


@pytest.mark.parametrize("family", PACKED)
def test_what_is_read_and_all_gradients_are_the_same(family: str):
    backbone, packed = backbone_of(build(PACKED[family]))
    ids, mask, texts = pack(TEXTS)
    expected = states_and_gradients(backbone.module, backbone.states(ids, mask, texts)[0, texts.ends])
    assert skip_unread(backbone, packed, (TypeError, AttributeError)) == (family in SKIP)
    object.__setattr__(backbone, "skips", family in SKIP)
    found = states_and_gradients(backbone.module, backbone.states(ids, mask, texts, last=True)[0, texts.ends])
    torch.testing.assert_close(found[0], expected[0], atol=1e-5, rtol=1e-4)
    assert (found[1] - expected[1]).norm() < 1e-5 * expected[1].norm()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_weights_in_16_bits_whose_layer_changes_little(family: str):
    assert skip_unread(*backbone_of(build(PACKED[family]).to(torch.bfloat16)), ())


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return load_backbone(tiny_llama(tmp_path_factory.mktemp("llama")))


def read(backbone: Backbone, *, last: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens that each call of the last feed-forward layer gets, and the states."""
    sizes: list[int] = []
    hook = backbone.blocks[-1].mlp.gate_proj.register_forward_hook(lambda _, args, __: sizes.append(args[0].shape[1]))
    states = backbone.states(*pack(TEXTS), last=last)
    hook.remove()
    return torch.tensor(sizes), states.detach()


def test_only_what_is_read_is_computed_and_only_where_that_was_said(backbone):
    ends = pack(TEXTS)[2].ends
    whole, states = read(backbone, last=False)
    part, found = read(backbone, last=True)
    assert (whole.tolist(), part.tolist()) == ([sum(map(len, TEXTS))], [len(TEXTS)])
    torch.testing.assert_close(found[0, ends], states[0, ends])
    again, after = read(backbone, last=False)  # nothing is left of the pass before
    assert (again.tolist(), after.tolist()) == (whole.tolist(), states.tolist())


def test_means_read_every_token(backbone):
    model = Classifier(backbone, pooling="mean")
    nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    ids, mask, texts = pack(TEXTS)
    alone = torch.cat([model(*pack([text])[:2]) for text in TEXTS])
    torch.testing.assert_close(model(ids, mask, texts=texts), alone, atol=1e-5, rtol=1e-4)


def test_with_adapters_and_checkpoints_two_passes_before_their_gradients_are_the_same(backbone):
    """A block that is computed again, after a pass of other texts, reads the tokens of its own pass."""
    found = []
    for checkpointed in (False, True):
        model = Classifier(twin(backbone))
        nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
        add_lora(model, rank=2, alpha=4, targets=["q_proj", "down_proj"], seed=0)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
        if checkpointed:
            checkpoint_blocks(model.backbone.blocks)
        parts = [pack(TEXTS[:3]), pack(TEXTS[3:])]
        logits = torch.cat([model(ids, mask, texts=texts) for ids, mask, texts in parts])
        logits.square().sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    torch.testing.assert_close(found[0], found[1], atol=0, rtol=0)


def test_a_twin_reads_for_itself(backbone):
    other = twin(backbone)
    assert read(other, last=True)[0].tolist() == [len(TEXTS)]
    assert other.blocks[-1].mlp is not backbone.blocks[-1].mlp


@pytest.mark.parametrize("checkpointed", [False, True])
def test_a_model_that_is_let_go_of_is_gone_at_once(tmp_path, checkpointed):
    """There may be no room for the next one before Python looks for circles."""
    backbone = load_backbone(tiny_llama(tmp_path))
    other = twin(backbone)
    for one in (backbone, other):
        if checkpointed:
            checkpoint_blocks(one.blocks)
        one.states(*pack(TEXTS), last=True).sum().backward()
    alive = [weakref.ref(one) for one in (*backbone.module.modules(), *other.module.parameters())]
    gc.collect()
    gc.disable()
    try:
        del backbone, other, one
        assert [one() for one in alive if one() is not None] == []
    finally:
        gc.enable()


def test_a_layer_that_lets_tokens_see_each_other_is_found_out():
    class Mixes(nn.Module):
        def forward(self, states):
            return states + states.mean(1, keepdim=True)

    backbone, packed = backbone_of(build(PACKED["llama"]))
    block = backbone.blocks[-1]
    block.mlp = nn.Sequential(Mixes(), block.mlp)
    kinds = [type(block), type(block.mlp)]
    assert not skip_unread(backbone, packed, ())
    assert [type(block), type(block.mlp)] == kinds
