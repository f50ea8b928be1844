"""Models that nobody has trained: always the same, read by what reads others, with nothing to fetch."""

import numpy as np
import pytest
from safetensors.numpy import load_file
from transformers import AutoTokenizer

from w2s_sweep.config.source import ScratchSource
from w2s_sweep.errors import SourceError
from w2s_sweep.models.load import load_backbone
from w2s_sweep.sources import fetch, find, identify
from w2s_sweep.sources.model_facts import read_facts
from w2s_sweep.sources.model_folder import problem_of


def test_a_model_is_made_once_and_is_one_of_transformers(tmp_path, monkeypatch):
    monkeypatch.setenv("W2S_CACHE", str(tmp_path))
    source = ScratchSource(layers=2, hidden=16, heads=2)
    identity = identify(source, "model")
    assert find(source, identity, "model") is None
    folder = fetch(source, identity, "model")
    assert find(source, identity, "model") == folder == fetch(source, identity, "model")
    assert problem_of(folder) is None
    facts = read_facts(folder)
    assert (facts.layers, facts.hidden, facts.heads, facts.context) == (2, 16, 2, 512)
    backbone = load_backbone(folder)
    assert (backbone.layers, backbone.hidden, backbone.tied, backbone.is_decoder) == (2, 16, True, True)
    other = fetch(ScratchSource(layers=2, hidden=16, heads=2, seed=1), {}, "model")
    one, two = (load_file(path / "model.safetensors") for path in (folder, other))
    assert one.keys() == two.keys()
    assert not np.array_equal(one["model.embed_tokens.weight"], two["model.embed_tokens.weight"])


def test_numbers_are_tokens_and_every_text_comes_back(tmp_path, monkeypatch):
    monkeypatch.setenv("W2S_CACHE", str(tmp_path))
    tokenizer = AutoTokenizer.from_pretrained(fetch(ScratchSource(hidden=8, heads=2), {}, "model"))
    text = "Question: 7 + 14 - 9 = ?\nAnswer: 21 - 33 = -12. #### -12, h\u00e9las"
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    tokens = tokenizer.convert_ids_to_tokens(ids)
    assert {"Question", "Answer", "12"} <= {*tokens}
    assert len(tokenizer(" 7 + 14 = 21")["input_ids"]) == 5


def test_what_cannot_be_made_is_refused():
    with pytest.raises(SourceError, match=r"source.heads: got 4, but 12 numbers"):
        identify(ScratchSource(hidden=12), "model")
    with pytest.raises(SourceError, match="scratch makes a model"):
        identify(ScratchSource(), "dataset")
