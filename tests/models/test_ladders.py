"""Every architecture of conf/model's ladders loads, keeps its first layers, and takes adapters on its own targets."""

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma3TextConfig, Olmo2Config, Qwen2Config, Qwen3Config

from tests.tiny import byte_tokenizer, sentences
from w2s_sweep.data.batches import pad
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.features import frozen_features
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.lora import add_lora, trainable

SIZE = {
    "vocab_size": len(byte_tokenizer()),
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 7,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 2,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
CONFIGS = {
    "qwen2": Qwen2Config(**SIZE, tie_word_embeddings=False),
    "qwen3": Qwen3Config(**SIZE, head_dim=8),
    "gemma3": Gemma3TextConfig(**SIZE, head_dim=8, sliding_window=4),
    "olmo2": Olmo2Config(**SIZE, tie_word_embeddings=False),
}


@pytest.fixture(scope="module", params=CONFIGS)
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(CONFIGS[request.param]).save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return path


def test_the_first_layers_compute_what_they_do_in_the_whole_model(folder):
    whole, first = load_backbone(folder), load_backbone(folder, keep_layers=3)
    assert (whole.layers, first.layers) == (7, 3)
    tokens = whole.tokens(sentences(10), 32)
    expected = frozen_features(whole, tokens, layer=3, precision="fp32")
    assert (frozen_features(first, tokens, layer=3, precision="fp32") == expected).all()


def test_logits_do_not_depend_on_padding(folder):
    model = Classifier(load_backbone(folder), label_words=(" incorrect", " correct"))
    tokens = model.backbone.tokens(sentences(6), 32)
    with torch.no_grad():
        together = model(*pad(tokens, 0))
        alone = torch.cat([model(*pad([ids], 0)) for ids in tokens])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_adapters_sit_on_the_attention_projections_of_every_layer(folder):
    model = Classifier(load_backbone(folder))
    add_lora(model, rank=2, alpha=4.0, targets=("q_proj", "v_proj"), seed=0)
    assert len(trainable(model)) == 2 + 7 * 2 * 2
