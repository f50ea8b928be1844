"""Features: the hidden state after the block asked for, whatever the batch, and no block computed above it."""

import numpy as np
import pytest
import torch

from tests.tiny import sentences, tiny_bert, tiny_gpt2, tiny_llama, tiny_neox
from w2s_sweep.errors import ModelError
from w2s_sweep.models.device import autocast, has_bf16, pick_device
from w2s_sweep.models.features import feature_layer, frozen_features
from w2s_sweep.models.forward_passes import Passes, over_rows
from w2s_sweep.models.load import load_backbone

BUILDERS = {"llama": tiny_llama, "gpt2": tiny_gpt2, "neox": tiny_neox, "bert": tiny_bert}
LAYERS = 5


@pytest.fixture(scope="module")
def backbones(tmp_path_factory):
    return {n: load_backbone(build(tmp_path_factory.mktemp(n), layers=LAYERS)) for n, build in BUILDERS.items()}


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("layer", range(LAYERS))
def test_features_are_the_hidden_states_that_transformers_reports(backbones, name, layer):
    backbone = backbones[name]
    tokens = backbone.tokens(sentences(6), 32)
    found = frozen_features(backbone, tokens, layer=layer, precision="fp32")
    for row, ids in enumerate(tokens):
        with torch.no_grad():
            states = backbone.module(torch.tensor([ids]), output_hidden_states=True).hidden_states
        np.testing.assert_allclose(found[row], states[layer][0, -1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_features_do_not_depend_on_the_batch(backbones, name, pooling):
    backbone = backbones[name]
    tokens = backbone.tokens([*sentences(30), ""], 32)
    alone = frozen_features(backbone, tokens, pooling=pooling, precision="fp32", token_budget=1)
    together = frozen_features(backbone, tokens, pooling=pooling, precision="fp32", token_budget=4096)
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    again = frozen_features(backbone, tokens, pooling=pooling, precision="fp32", token_budget=4096)
    assert np.array_equal(again, together)
    assert (together.shape, together.dtype) == ((31, 32), np.float32)


def test_the_last_block_is_read_before_the_norm_that_follows_it(backbones):
    backbone = backbones["llama"]
    tokens = backbone.tokens(sentences(3), 32)
    found = torch.tensor(frozen_features(backbone, tokens, layer=LAYERS, precision="fp32"))
    with torch.no_grad():
        normed = [backbone.module(torch.tensor([ids])).last_hidden_state[0, -1] for ids in tokens]
        torch.testing.assert_close(backbone.module.norm(found), torch.stack(normed), rtol=1e-4, atol=1e-5)


def test_blocks_above_the_layer_are_not_computed(backbones):
    backbone, ran = backbones["gpt2"], []
    hooks = [b.register_forward_hook(lambda *_, i=i: ran.append(i)) for i, b in enumerate(backbone.blocks)]
    frozen_features(backbone, backbone.tokens(["good film"], 8), layer=2)
    for hook in hooks:
        hook.remove()
    assert ran == [0, 1]


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("layer", [0, 1, 3, LAYERS])
def test_blocks_above_the_layer_need_not_be_there(backbones, name, layer):
    whole = backbones[name]
    part = load_backbone(whole.folder, keep_layers=max(1, layer))
    tokens = whole.tokens(sentences(6), 32)
    found = [frozen_features(backbone, tokens, layer=layer, precision="fp32") for backbone in (part, whole)]
    assert np.array_equal(*found)


def test_nothing_stays_behind_in_the_model(backbones):
    backbone = backbones["llama"]
    ids = torch.tensor(backbone.tokens(["good film"], 8))
    with torch.no_grad():
        before = backbone.module(ids).last_hidden_state
        frozen_features(backbone, ids.tolist(), layer=1)
        assert torch.equal(backbone.module(ids).last_hidden_state, before)


def test_the_default_layer(backbones, tmp_path):
    assert feature_layer(backbones["llama"], None) == 3
    assert feature_layer(backbones["bert"], None) == LAYERS
    assert feature_layer(load_backbone(tiny_llama(tmp_path, layers=1)), None) == 1


def test_a_layer_beyond_the_last_is_refused(backbones):
    with pytest.raises(ModelError, match=r"feature_layer: 6, but the model has 5 layers.*0 \(the embedding\) to 5"):
        frozen_features(backbones["llama"], [[1]], layer=6)


class Stopped(Passes):
    """Stops once, after a number of passes, and keeps what it has."""

    def __init__(self, passes):
        self.left, self.seen = passes, []

    def begin(self, rows, width):
        if not self.seen:
            super().begin(rows, width)

    def after_batch(self):
        self.seen.append(int(self.done.sum()))
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_passes_count_every_text_and_go_on_where_they_were_stopped(backbones):
    tokens = backbones["llama"].tokens(sentences(20), 32)
    expected = frozen_features(backbones["llama"], tokens, token_budget=30)
    stopped = Stopped(3)
    with pytest.raises(KeyboardInterrupt):
        frozen_features(backbones["llama"], tokens, token_budget=30, passes=stopped)
    before = list(stopped.seen)
    found = frozen_features(backbones["llama"], tokens, token_budget=30, passes=stopped)
    assert (found == expected).all()
    assert len(before) == 3
    assert stopped.seen == sorted(set(stopped.seen))  # no text twice
    assert stopped.seen[-1] == 20


def test_a_pass_that_does_not_fit_into_memory_is_made_in_parts():
    seen = []

    def compute(rows):
        seen.append(len(rows))
        if len(rows) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return torch.tensor(rows)[:, None]

    assert over_rows([list(range(9)), [9, 10]], 1, compute, Passes())[:, 0].tolist() == list(range(11))
    assert seen == [9, 4, 2, 2, 5, 2, 3, 2]


def test_a_text_that_does_not_fit_into_memory_is_an_error_that_says_what_helps():
    def compute(rows):
        raise torch.cuda.OutOfMemoryError("Tried to allocate 2.00 GiB")

    with pytest.raises(ModelError, match=r"a single text does not fit.*max_tokens.*Tried to allocate"):
        over_rows([[0, 1]], 1, compute, Passes())


def test_no_texts_are_no_rows(backbones):
    assert frozen_features(backbones["llama"], []).shape == (0, 32)


def test_bf16_is_used_only_where_it_is_fast():
    device = pick_device()
    with autocast(device, "bf16"):
        product = torch.ones(2, 2, device=device) @ torch.ones(2, 2, device=device)
    assert (product.dtype == torch.bfloat16) == has_bf16(device)
    with autocast(device, "fp32"):
        assert (torch.ones(2, 2, device=device) @ torch.ones(2, 2, device=device)).dtype == torch.float32
