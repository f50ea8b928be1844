"""LoRA: starts as the identity, trains adapters and head alone, and what is saved restores it."""

import pytest
import torch

from tests.tiny import sentences, tiny_bert, tiny_gpt2, tiny_llama, tiny_neox, trainable_state
from w2s_sweep.data.batches import pad
from w2s_sweep.errors import ModelError
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.lora import add_lora, trainable
from w2s_sweep.training.learners import require_trained

TARGETS = {"llama": ("q_proj", "v_proj"), "gpt2": ("c_attn",), "neox": ("query_key_value",), "bert": ("query", "value")}
BUILDERS = {"llama": tiny_llama, "gpt2": tiny_gpt2, "neox": tiny_neox, "bert": tiny_bert}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: build(tmp_path_factory.mktemp(name)) for name, build in BUILDERS.items()}


def adapted(folder, targets, seed=0, rank=4):
    model = Classifier(load_backbone(folder))
    add_lora(model, rank=rank, alpha=8.0, targets=targets, seed=seed)
    return model


def step(model, seed=0):
    """A few optimizer steps on random labels."""
    tokens = pad(model.backbone.tokens(sentences(8), 16), model.backbone.pad_id)
    optimizer = torch.optim.SGD(trainable(model).values(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(*tokens), torch.tensor([0, 1] * 4)).backward()
        optimizer.step()
    return tokens


@pytest.mark.parametrize("name", BUILDERS)
def test_adapters_start_as_the_identity_and_train_alone_with_the_head(folders, name):
    plain, model = Classifier(load_backbone(folders[name])), adapted(folders[name], TARGETS[name])
    ids, mask = pad(plain.backbone.tokens(sentences(5), 16), plain.backbone.pad_id)
    with torch.no_grad():
        expected = plain.transformer(ids, attention_mask=mask).last_hidden_state
        torch.testing.assert_close(model.transformer(ids, attention_mask=mask).last_hidden_state, expected)
    frozen = {k: p.clone() for k, p in model.named_parameters() if not p.requires_grad}
    names = set(trainable(model))
    assert {k for k in names if "lora_" not in k} == {"head.weight", "head.bias"}
    assert len(names) == 2 + 2 * 2 * len(TARGETS[name])
    before = trainable_state(model)
    step(model)
    assert all(torch.equal(dict(model.named_parameters())[k], v) for k, v in frozen.items())
    assert all(not torch.equal(v, before[k]) for k, v in trainable_state(model).items())


def test_adapters_follow_from_the_seed_alone(folders):
    torch.manual_seed(1)
    first = trainable_state(adapted(folders["llama"], TARGETS["llama"], seed=7))
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    again = trainable_state(adapted(folders["llama"], TARGETS["llama"], seed=7))
    other = trainable_state(adapted(folders["llama"], TARGETS["llama"], seed=8))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert torch.equal(torch.random.get_rng_state(), state)


def restore(model, state):
    parameters = trainable(model)
    assert parameters.keys() == state.keys()
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state[name])


def test_what_is_saved_restores_the_model(folders):
    model = adapted(folders["gpt2"], TARGETS["gpt2"])
    tokens = step(model)
    fresh = adapted(folders["gpt2"], TARGETS["gpt2"], seed=5)
    restore(fresh, trainable_state(model))
    with torch.no_grad():
        assert torch.equal(fresh(*tokens), model(*tokens))


def test_all_weights_are_saved_when_all_train(folders):
    model = Classifier(load_backbone(folders["bert"]))
    tokens = step(model)
    fresh = Classifier(load_backbone(folders["bert"]))
    restore(fresh, trainable_state(model))
    with torch.no_grad():
        assert torch.equal(fresh(*tokens), model(*tokens))


def test_a_target_that_names_no_linear_module_lists_what_there_is(folders):
    with pytest.raises(ModelError, match=r"lora_targets: unknown name 'qproj'. Did you mean 'q_proj'\?.*down_proj"):
        adapted(folders["llama"], ("qproj",))


def test_gradients_reach_every_adapter_after_the_first_step(folders):
    model = adapted(folders["neox"], TARGETS["neox"])
    step(model)
    tokens = pad(model.backbone.tokens(sentences(8), 16), model.backbone.pad_id)
    model.zero_grad()
    model(*tokens)[:, 1].sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in trainable(model).values())


def test_full_trains_every_weight_and_lora_its_adapters_alone(folders):
    plain, tuned = load_backbone(folders["llama"]).module, adapted(folders["llama"], TARGETS["llama"]).transformer
    require_trained(plain, lora=False)
    require_trained(tuned, lora=True)
    with pytest.raises(ModelError, match=r"every weight trains, but .* is frozen"):
        require_trained(tuned, lora=False)
    with pytest.raises(ModelError, match=r"adapters alone train, but .* trains"):
        require_trained(plain, lora=True)
