"""Classifier: padding-invariant float32 logits, a head that starts where it is told to."""

import pytest
import torch

from tests.tiny import sentences, tiny_bert, tiny_gpt2, tiny_llama, tiny_neox
from w2s_sweep.data.batches import pad
from w2s_sweep.errors import ModelError
from w2s_sweep.models.classifier import Classifier
from w2s_sweep.models.load import load_backbone

BUILDERS = {"llama": tiny_llama, "gpt2": tiny_gpt2, "neox": tiny_neox, "bert": tiny_bert}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: build(tmp_path_factory.mktemp(name)) for name, build in BUILDERS.items()}


def with_random_head(folder, **settings):
    model = Classifier(load_backbone(folder), **settings)
    with torch.no_grad():
        model.head.weight.normal_(generator=torch.Generator().manual_seed(0))
    return model


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("pad_id", [0, 5])
def test_logits_do_not_depend_on_padding(folders, name, pooling, pad_id):
    model = with_random_head(folders[name], pooling=pooling)
    tokens = [[0, 5, 0], [5], [7, 9, 0, 0, 5, 11, 0], *model.backbone.tokens(sentences(5), 16)]
    with torch.no_grad():
        together = model(*pad(tokens, pad_id))
        alone = torch.cat([model(*pad([ids], pad_id)) for ids in tokens])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_the_token_with_id_zero_is_read_like_any_other(folders):
    model = with_random_head(folders["llama"])
    with torch.no_grad():
        ends_in_zero, without = model(*pad([[7, 9, 0]], 0)), model(*pad([[7, 9]], 0))
    assert not torch.allclose(ends_in_zero, without)


@pytest.mark.parametrize("classes", [1, 2, 4])
def test_a_zero_head_gives_zero_logits_and_gets_a_gradient(folders, classes):
    model = Classifier(load_backbone(folders["llama"]), classes=classes)
    logits = model(*pad([[7, 9], [5]], 0))
    assert torch.equal(logits, torch.zeros(2, classes))
    logits.sum().backward()
    assert model.head.weight.grad.abs().sum() > 0


def test_the_head_stays_in_float32_under_autocast(folders):
    model = with_random_head(folders["llama"])
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        assert model(*pad([[7, 9], [5]], 0)).dtype == torch.float32


@pytest.mark.parametrize("name", ["llama", "neox"])
def test_label_words_keep_the_difference_of_the_language_models_logits(folders, name):
    backbone = load_backbone(folders[name])
    model = Classifier(backbone, label_words=(" bad", " good"))
    tokens = pad(backbone.tokens(sentences(6), 16), backbone.pad_id)
    ids = [backbone.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in (" bad", " good")]
    with torch.no_grad():
        logits = model(*tokens)
        hidden = backbone.module(tokens[0], attention_mask=tokens[1]).last_hidden_state
        hidden = hidden[range(6), tokens[1].sum(1) - 1]
        bad, good = (hidden @ backbone.unembedding(ids).T).T
    torch.testing.assert_close(logits[:, 1] - logits[:, 0], good - bad)
    torch.testing.assert_close(model.head.weight.sum(0), torch.zeros(32))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((" good", " goodness"), "begin with the same token"),
        ((" good", " good"), "begin with the same token"),
        ((" good",), "1 words for 2 classes"),
        ((" good", ""), "gives no token"),
    ],
)
def test_label_words_that_do_not_tell_the_classes_apart_are_refused(folders, words, message):
    with pytest.raises(ModelError, match=message):
        Classifier(load_backbone(folders["llama"]), label_words=words)
