"""Decoding: each row is written as if it were alone, while others stand beside it and leave; and what it costs."""

import weakref
from functools import wraps

import numpy as np
import pytest
import torch
from transformers.cache_utils import DynamicLayer

from tests.models.families import ENCODERS, FAMILIES, write_family
from tests.tiny import sentences, tiny_gpt2, tiny_llama
from w2s_sweep.errors import ModelError, OutOfMemory
from w2s_sweep.models import decode, room
from w2s_sweep.models.decode import draw, greedy, room_of, sample
from w2s_sweep.models.kept_texts import KeptTexts, RoomyLayer, measure
from w2s_sweep.models.language import LanguageModel, Measured, WideUnembedding
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.prompt import answer_logits
from w2s_sweep.models.ranks import Ranks

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
    """Rows of different lengths, three at a time and read in several passes, are each as alone; so are samples."""
    monkeypatch.setattr(decode, "room_of", lambda *_: 3)
    free = alone(model, PROMPTS[1], HOW["most"], -1)
    how = HOW | {"end": free[2]}  # one row at least ends early
    expected = [alone(model, prompt, how["most"], how["end"]) for prompt in PROMPTS]
    assert greedy(model, PROMPTS, token_budget=12, **how) == expected
    many = sample(model, PROMPTS, NAMES, count=4, temperature=1.0, seed=0, token_budget=12, **how)
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


def test_a_model_that_forgets_writes_nothing(tmp_path, monkeypatch):
    """One that takes a cache and does not use it, as RWKV did: each token would follow on the newest one alone."""
    model = LanguageModel(load_backbone(tiny_gpt2(tmp_path)))
    plain = model.transformer.forward
    monkeypatch.setattr(model.transformer, "forward", lambda input_ids, **_: plain(input_ids=input_ids))
    with pytest.raises(ModelError, match=r"GPT2Model does not continue a text .* Use another model for generation"):
        greedy(model, PROMPTS, **HOW)


def test_a_model_that_gives_nan_beside_padding_is_found_out(tmp_path, monkeypatch):
    model = LanguageModel(load_backbone(tiny_gpt2(tmp_path)))
    plain = model.next_logits

    def next_logits(ids, reading, wide):
        logits = plain(ids, reading, wide)
        padded = "attention_mask" in reading and (reading["attention_mask"].sum(1) < 4)
        return logits.masked_fill(padded[:, None], torch.nan) if torch.is_tensor(padded) else logits

    monkeypatch.setattr(model, "next_logits", next_logits)
    assert not measure(model, "fp32", WideUnembedding()).flexible


def test_weights_that_are_no_numbers_are_told_as_such(tmp_path):
    model = LanguageModel(load_backbone(tiny_gpt2(tmp_path)))
    torch.nn.init.constant_(model.backbone.embedding, torch.nan)
    with pytest.raises(ModelError, match=r"logits are not finite numbers\. Lower finetune\.lr"):
        measure(model, "fp32", WideUnembedding())


def test_memory_that_is_short_for_a_moment_says_nothing_of_a_model(tmp_path, monkeypatch):
    model = LanguageModel(load_backbone(tiny_gpt2(tmp_path)))
    monkeypatch.setattr(model, "next_logits", fails_at(model.next_logits, 2))
    with pytest.raises(torch.OutOfMemoryError):
        measure(model, "fp32", WideUnembedding())
    assert measure(model, "fp32", WideUnembedding()).flexible


def fails_at(plain, number):
    """`plain`, which has no memory in its call of this number."""
    calls = []

    def next_logits(*arguments):
        calls.append(None)
        if len(calls) == number:
            raise torch.OutOfMemoryError("too many")
        return plain(*arguments)

    return next_logits


def test_samples_of_a_prompt_share_its_pass_which_has_so_many_tokens(model, passes, monkeypatch):
    monkeypatch.setattr(decode, "room_of", lambda *_: 30)
    how = HOW | {"end": -1}
    sample(model, PROMPTS, NAMES, count=5, temperature=1.0, seed=0, **how)
    assert passes == [(1, 2), (3, 3), (3, 3), (6, 3)] + [(30, 1)] * 6
    passes.clear()
    sample(model, PROMPTS, NAMES, count=5, temperature=1.0, seed=0, token_budget=12, **how)
    assert passes == [(1, 1), (1, 2), (3, 2), (3, 2), (4, 2), (6, 2)] + [(30, 1)] * 6


def test_rows_that_have_ended_leave(model, passes, monkeypatch):
    end = greedy(model, PROMPTS[:1], **HOW | {"end": -1})[0][1]
    prompts = [PROMPTS[0]] * 6 + [PROMPTS[1]]  # the first six end with their second token
    passes.clear()
    monkeypatch.setattr(decode, "room_of", lambda *_: 4)
    written = greedy(model, prompts, **HOW | {"end": end})
    assert [len(text) for text in written] == [1] * 6 + [7]
    assert passes == [(1, 2), (1, 3), (1, 3), (4, 3), (4, 1), *[(1, 1)] * 5, (3, 3), (3, 1)]


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


def test_one_of_several_processes_says_that_it_has_too_little_memory(model, monkeypatch):
    """The others wait in the middle of its pass, so it makes no other one: all begin anew, see `runner.ranks`."""
    measure(model, "fp32", WideUnembedding())
    texts = decode._Texts(model, PROMPTS, None, 1, decode._Wanted(7, 5), model.measured, 8192, WideUnembedding())
    monkeypatch.setattr(decode, "this_process", lambda: Ranks(1, 2))
    monkeypatch.setattr(model, "next_logits", fails_at(model.next_logits, 3))
    with torch.no_grad(), pytest.raises(OutOfMemory, match=r"one of 2 devices while 6 texts were written together"):
        list(texts.passes())


def test_what_did_not_fit_is_gone_before_it_is_tried_again(model, monkeypatch):
    expected = greedy(model, PROMPTS, **HOW)
    there, alive, plain = [], [], KeptTexts.__init__

    def begin(self, *arguments, **named):
        there.append(weakref.ref(self))
        plain(self, *arguments, **named)

    monkeypatch.setattr(KeptTexts, "__init__", begin)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: alive.extend(one for one in there if one() is not None))
    monkeypatch.setattr(model, "next_logits", fails_at(model.next_logits, 4))
    assert greedy(model, PROMPTS, **HOW) == expected
    assert (len(there), alive) == (3, [])


def test_progress_counts_prompts(model):
    told = []
    greedy(model, PROMPTS, **HOW | {"end": -1}, on_progress=told.append)
    assert (told[0], told[-1], len(told)) == (0, 6, 11)
    assert greedy(model, [], **HOW) == []


@pytest.mark.parametrize("passes", [0, 9, 10, 15, 19])
def test_a_stop_is_noticed_between_passes_and_what_is_written_stays(model, monkeypatch, passes):
    monkeypatch.setattr(decode, "room_of", lambda *_: 3)
    how = HOW | {"end": -1}
    expected, asked = greedy(model, PROMPTS, **how), []
    found = greedy(model, PROMPTS, **how, stop=lambda: len(asked) == passes or asked.append(None))
    # The longest three of the prompts are read in 4 passes and written in 6, the others in 3 and 6.
    first = {1, 2, 4} if passes >= 10 else set()
    done = range(6) if passes == 19 else first
    assert found == [text if row in done else None for row, text in enumerate(expected)]


def test_keys_values_and_logits_take_as_much_as_weights(model, monkeypatch):
    found, logits = measure(model, "fp32", WideUnembedding()), 4 * len(model.unembedding)
    assert found == Measured(flexible=True, token_bytes=2 * 2 * 32 * 4)  # two blocks, keys and values of 32 numbers
    assert room_of(model, found, 64, 8192) == room.LEAST // (512 * 64 + logits)
    weights = sum(4 * weight.numel() for weight in model.parameters())
    monkeypatch.setattr(decode, "memory_bytes", lambda device: room.SHARE * 10**5)  # of a GPU, whatever is free
    assert room_of(model, found, 64, 8192) == 10**5 // (512 * 64 + logits)
    monkeypatch.undo()
    monkeypatch.setattr(room, "LEAST", 0)
    assert room_of(model, found, 20, 8192) == weights // (512 * 20 + logits)
    assert room_of(model, found, 10**9, 8192) == 1
    assert room_of(model, found, 1, 16) == 16


def test_no_more_is_held_than_that(model, monkeypatch):
    """Of keys and values, whatever is repeated and leaves."""
    found, held = measure(model, "fp32", WideUnembedding()), []
    monkeypatch.setattr(room, "LEAST", 30000)
    monkeypatch.setattr(decode, "memory_bytes", lambda device: room.SHARE * 300000)
    plain = KeptTexts.append

    def append(self, *arguments):
        held.append(sum(room.numel() * room.element_size() for layer in self.cache.layers for room in layer.room))
        return plain(self, *arguments)

    monkeypatch.setattr(KeptTexts, "append", append)
    sample(model, PROMPTS, NAMES, count=9, temperature=1.0, seed=0, **HOW)
    assert 0.2 * 300000 < max(held) <= 300000
    assert room_of(model, found, 18, 8192) < 54


def test_tokens_are_drawn_a_few_rows_at_a_time(monkeypatch):
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    numbers = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    whole = draw(logits, numbers, 0.5)
    monkeypatch.setattr(decode, "DRAWN", 14)
    assert torch.equal(draw(logits, numbers, 0.5), whole)


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


def test_room_changes_no_result():
    """As the layers of transformers, which copy everything for every token."""
    generator = torch.Generator().manual_seed(0)
    own, theirs = RoomyLayer(2, 9), DynamicLayer()
    for columns in (3, 1, 5):
        states = torch.randn(2, 2, 3, columns, 4, generator=generator)
        for one, other in zip(own.update(*states), theirs.update(*states), strict=True):
            assert torch.equal(one, other)
    index, room = torch.tensor([1, 0, 1]), own.room
    own = own.taken(index, 2, 1)
    states = torch.randn(2, 3, 3, 1, 4, generator=generator)
    for one, before, new in zip(own.update(*states), (theirs.keys, theirs.values), states, strict=True):
        assert torch.equal(one, torch.cat([before[index, :, 2:], new], dim=2))
    assert [one.shape[2] for one in (*room, *own.room)] == [9, 9, 8, 8]
