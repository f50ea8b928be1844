"""Decoding: each row is written as if it were alone, while others join and leave its batch; and what it costs."""

from functools import wraps

import numpy as np
import pytest
import torch
from transformers.cache_utils import DynamicLayer

from tests.models.families import ENCODERS, FAMILIES, write_family
from tests.tiny import sentences, tiny_gpt2, tiny_llama
from w2s_sweep.errors import ModelError
from w2s_sweep.models import continued, decode
from w2s_sweep.models.continued import Room, room_of
from w2s_sweep.models.decode import greedy, sample
from w2s_sweep.models.kept_texts import GrowingLayer, measure
from w2s_sweep.models.language import LanguageModel, Measured, WideUnembedding
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.prompt import answer_logits

HOW = {"most": 7, "end": 5, "precision": "fp32"}
PROMPTS = [torch.randint(3, 90, (n,), generator=torch.Generator().manual_seed(n)).tolist() for n in (3, 11, 7, 1, 7, 2)]
NAMES = list("abcdef")
NO_WORDS = ("gemma2",)
"""Families whose logits are scaled, so that they generate nothing here."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return LanguageModel(load_backbone(tiny_gpt2(tmp_path_factory.mktemp("gpt2"))))


@pytest.fixture
def passes(model, monkeypatch):
    """The shapes of the tokens of each forward pass."""
    measure(model, "fp32", WideUnembedding())
    shapes, plain = [], model.next_logits

    def next_logits(ids, *rest):
        shapes.append(tuple(ids.shape))
        return plain(ids, *rest)

    monkeypatch.setattr(model, "next_logits", next_logits)
    return shapes


def alone(model, prompt, most, end):
    """Greedy decoding as it is defined: the whole text goes through the model for every token."""
    new = []
    while len(new) < most:
        with torch.no_grad():
            hidden = model.transformer(input_ids=torch.tensor([[*prompt, *new]]), use_cache=False).last_hidden_state
            token = int((hidden[0, -1] @ model.unembedding.T).argmax())
        if token == end:
            break
        new.append(token)
    return new


def check(model, monkeypatch):
    """Rows of different lengths, of which three are in the batch at a time, are each as alone; so are samples."""
    monkeypatch.setattr(decode, "room_of", lambda *_: Room(3, 20))
    free = alone(model, PROMPTS[1], HOW["most"], -1)
    how = HOW | {"end": free[2]}  # one row at least ends early
    expected = [alone(model, prompt, how["most"], how["end"]) for prompt in PROMPTS]
    assert greedy(model, PROMPTS, **how) == expected
    many = sample(model, PROMPTS, NAMES, count=4, temperature=1.0, seed=0, **how)
    monkeypatch.undo()
    assert greedy(model, PROMPTS[::-1], **how)[::-1] == expected
    for prompt, name, texts in zip(PROMPTS[:3], NAMES, many, strict=False):
        assert sample(model, [prompt], [name], count=3, temperature=1.0, seed=0, **how)[0] == texts[:3]


def test_a_row_is_written_as_if_it_were_alone(model, monkeypatch):
    check(model, monkeypatch)
    assert model.measured.flexible


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in (*ENCODERS, *NO_WORDS, "t5", "gpt2")])
def test_every_family_writes_each_row_as_if_it_were_alone(name, tmp_path, monkeypatch):
    """Windows shorter than the texts, positions of several kinds, experts, states that are no keys and values."""
    model = LanguageModel(load_backbone(write_family(name, tmp_path)))
    check(model, monkeypatch)
    assert model.measured.flexible == (name != "mamba")
    # The same keys and values serve prompts that begin alike.
    prefix, words = PROMPTS[1], model.unembedding[7:9].detach()
    once, whole = (answer_logits(model.backbone, prefix, PROMPTS, words, precision="fp32", cached=c) for c in (1, 0))
    np.testing.assert_allclose(once, whole, atol=1e-4)


def test_a_model_that_takes_padding_for_text_is_found_out(tmp_path, monkeypatch):
    """Here positions count the padding; it then continues texts of one length together, and is right."""
    model = LanguageModel(load_backbone(tiny_gpt2(tmp_path)))
    plain = model.transformer.forward

    @wraps(plain)
    def forward(position_ids=None, **settings):
        return plain(**settings)

    monkeypatch.setattr(model.transformer, "forward", forward)
    assert greedy(model, PROMPTS, **HOW) == [alone(model, prompt, HOW["most"], HOW["end"]) for prompt in PROMPTS]
    assert model.measured == Measured(flexible=False, token_bytes=0)


def test_samples_of_a_prompt_share_its_pass(model, passes, monkeypatch):
    monkeypatch.setattr(decode, "room_of", lambda *_: Room(30, 1000))
    sample(model, PROMPTS, NAMES, count=5, temperature=1.0, seed=0, **HOW | {"end": -1})
    assert passes == [(6, 11)] + [(30, 1)] * 6


def test_rows_that_have_ended_leave_and_others_take_their_place(model, passes, monkeypatch):
    end = greedy(model, PROMPTS[:1], **HOW | {"end": -1})[0][1]
    prompts = [PROMPTS[0]] * 6 + [PROMPTS[1]]  # the first six end with their second token
    passes.clear()
    monkeypatch.setattr(decode, "room_of", lambda *_: Room(4, 1000))
    written = greedy(model, prompts, **HOW | {"end": end})
    assert [len(text) for text in written] == [1] * 6 + [7]
    assert passes == [(4, 11), (4, 1), (3, 3), (4, 1), (1, 1), (1, 1), (1, 1), (1, 1)]


def test_a_batch_that_does_not_fit_into_memory_is_made_smaller(model, monkeypatch):
    """Texts are the same, those that had begun before memory was too small too."""
    expected = sample(model, PROMPTS, NAMES, count=2, temperature=1.0, seed=0, **HOW)
    plain = model.next_logits

    def of_at_most(rows):
        def next_logits(ids, *rest):
            if len(ids) > rows:
                raise torch.OutOfMemoryError("too many")
            return plain(ids, *rest)

        return next_logits

    monkeypatch.setattr(model, "next_logits", of_at_most(7))
    assert sample(model, PROMPTS, NAMES, count=2, temperature=1.0, seed=0, **HOW) == expected
    monkeypatch.setattr(model, "next_logits", of_at_most(0))
    with pytest.raises(ModelError, match=r"a single text cannot be continued. Lower dataset.max_tokens"):
        greedy(model, PROMPTS, **HOW)


def test_progress_counts_prompts(model):
    told = []
    greedy(model, PROMPTS, **HOW | {"most": 20, "end": -1}, on_progress=lambda *numbers: told.append(numbers))
    assert told == [(0, 6), (6, 6)]
    assert greedy(model, [], **HOW) == []


def test_keys_and_values_take_as_much_as_weights(model, monkeypatch):
    found = measure(model, "fp32", WideUnembedding())
    assert found == Measured(flexible=True, token_bytes=2 * 2 * 32 * 4)  # two blocks, keys and values of 32 numbers
    assert room_of(model, found, 64, 8192) == Room(continued.LEAST // (512 * 64), 8192)
    monkeypatch.setattr(continued, "LEAST", 0)
    weights = sum(4 * weight.numel() for weight in model.parameters())
    assert room_of(model, found, 20, 8192) == Room(weights // (512 * 20), 8192)
    assert room_of(model, found, 10**9, 8192).rows == 1
    assert room_of(model, found, 1, 16) == Room(16, 16)


def test_an_unembedding_of_16_bits_is_converted_once(tmp_path):
    model = LanguageModel(load_backbone(tiny_llama(tmp_path, tied=True), dtype=torch.bfloat16))
    wide = WideUnembedding()
    prompts = model.backbone.tokens(sentences(2), 16)
    with torch.no_grad():
        logits = model.next_logits(torch.tensor(prompts[:1]), {}, wide)
        hidden = model.transformer(input_ids=torch.tensor(prompts[:1])).last_hidden_state[:, -1]
    assert torch.equal(logits, hidden.float() @ model.unembedding.float().T)
    assert wide.of(model.unembedding) is wide.of(model.unembedding)
    assert measure(model, "fp32", wide).flexible  # rounding to 16 bits is no other result
    single = torch.nn.Parameter(torch.ones(2, 2))
    assert wide.of(single) is single


def test_room_grows_without_another_result():
    """As the layers of transformers, which copy everything for every token."""
    draw = torch.Generator().manual_seed(0)
    own, theirs = GrowingLayer(), DynamicLayer()
    for columns in (3, *[1] * 40):
        states = torch.randn(2, 2, 3, columns, 4, generator=draw)
        for one, other in zip(own.update(*states), theirs.update(*states), strict=True):
            assert torch.equal(one, other)
    rooms = own.room
    own.update(*torch.randn(2, 2, 3, 1, 4, generator=draw))
    assert rooms[0] is own.room[0]
