"""Log-probabilities of next tokens: those of the language model that the backbone was taken from."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.tiny import sentences, tiny_bert, tiny_gpt2, tiny_llama, tiny_neox
from w2s_sweep.data.batches import pad
from w2s_sweep.errors import ModelError
from w2s_sweep.models import language
from w2s_sweep.models.language import token_log_probs, unembedding_matrix
from w2s_sweep.models.load import load_backbone

DECODERS = {"llama": tiny_llama, "gpt2": tiny_gpt2, "neox": tiny_neox}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: build(tmp_path_factory.mktemp(name)) for name, build in DECODERS.items()}


def log_probs(backbone, ids, mask):
    hidden = backbone.module(input_ids=ids, attention_mask=mask).last_hidden_state
    return token_log_probs(hidden, unembedding_matrix(backbone), ids, mask)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("limit", [language.LOGITS, 1000], ids=["one chunk", "chunks"])
def test_values_and_gradients_are_those_of_the_whole_model(folders, name, limit, monkeypatch):
    monkeypatch.setattr(language, "LOGITS", limit)
    backbone = load_backbone(folders[name])
    ids, mask = pad(backbone.tokens(sentences(5), 16), backbone.pad_id)
    ours = log_probs(backbone, ids, mask)
    whole = AutoModelForCausalLM.from_pretrained(folders[name])
    logits = whole(ids, attention_mask=mask).logits[:, :-1].log_softmax(-1)
    theirs = logits.gather(2, ids[:, 1:, None])[..., 0] * mask[:, 1:]
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs)
    slope = torch.rand(ours.shape, generator=torch.Generator().manual_seed(0))
    (ours * slope).sum().backward()
    (theirs * slope).sum().backward()
    torch.testing.assert_close(backbone.embedding.grad, whole.get_input_embeddings().weight.grad, rtol=1e-4, atol=1e-5)


def test_padding_changes_nothing_and_a_lone_token_has_no_probability(folders):
    backbone = load_backbone(folders["llama"])
    tokens = [[7, 9, 0, 4], [5], [3, 0]]
    with torch.no_grad():
        together = log_probs(backbone, *pad(tokens, backbone.pad_id)).sum(1)
        alone = torch.cat([log_probs(backbone, *pad([ids], 0)).sum(1) for ids in tokens])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert together[1] == 0
    assert together[0] < 0


def test_a_batch_of_lone_tokens_can_be_trained_on(folders):
    backbone = load_backbone(folders["llama"])
    log_probs(backbone, *pad([[5], [7]], 0)).sum().backward()


def test_an_encoder_gives_no_probability(tmp_path):
    with pytest.raises(ModelError, match="it is an encoder"):
        unembedding_matrix(load_backbone(tiny_bert(tmp_path)))


def test_logits_that_are_more_than_a_product_are_refused(folders):
    backbone = load_backbone(folders["llama"])
    backbone.module.config.final_logit_softcapping = 30.0
    with pytest.raises(ModelError, match="final_logit_softcapping"):
        unembedding_matrix(backbone)
