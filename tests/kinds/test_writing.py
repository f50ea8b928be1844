"""The memory that is planned for written texts against what is held while they are written."""

import dataclasses

import pytest
import torch
from transformers import AutoConfig

from tests.setups import model as published
from tests.tiny import tiny_gpt2, tiny_llama
from w2s_sweep.kinds.memory import CONTEXT, ENOUGH_TOKENS, HEADROOM, fit, running, training
from w2s_sweep.kinds.shape import Shape, parse_shape
from w2s_sweep.models import room
from w2s_sweep.models.decode import sample
from w2s_sweep.models.kept_texts import KeptTexts
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.load import load_backbone

LARGE = Shape("llama", 8e9, layers=32, hidden=4096, queries=4096, keys=1024, inner=14336, heads=32, vocabulary=128_000)
PROMPTS = [torch.randint(3, 90, (n,), generator=torch.Generator().manual_seed(n)).tolist() for n in (9, 11, 7, 11)]


def shape_of(model):
    config = AutoConfig.from_pretrained(model.backbone.folder).to_dict()
    params = sum(weight.numel() for weight in model.transformer.parameters())
    about = dataclasses.replace(published("m"), layers=model.backbone.layers, hidden=32, params=params)
    return parse_shape(config, about)


@pytest.mark.parametrize("write", [tiny_gpt2, tiny_llama])
def test_what_is_held_is_what_is_planned(write, tmp_path, monkeypatch):
    """Weights, keys, values and logits of as many texts as are written together."""
    model = LanguageModel(load_backbone(write(tmp_path)))
    need = running(shape_of(model), "fp32", 18, writes=18)
    assert need.writing is not None
    held, texts, plain = [], [], KeptTexts.append

    def append(self, *arguments):
        logits = plain(self, *arguments)
        kept = [one for layer in self.cache.layers for one in layer.room]
        held.append(sum(one.numel() * one.element_size() for one in [*kept, logits, *model.parameters()]))
        texts.append(len(logits))
        return logits

    monkeypatch.setattr(KeptTexts, "append", append)
    model.room = 20.5 * need.writing.text
    sample(model, PROMPTS, [*"abcd"], count=9, temperature=1.0, seed=0, most=7, end=-1, precision="fp32")
    head = 0 if model.head is not None else shape_of(model).head * 4  # counted though it is the embedding
    assert max(texts) == 20
    assert max(held) == pytest.approx(need.writing.fixed - head + 20 * need.writing.text, rel=0.05)


def test_texts_may_take_what_decoding_gives_them_and_passes_the_rest():
    """An eighth of the device, or the weights."""
    need = running(LARGE, "bf16", 512, writes=512)
    how = fit(need, 80e9)
    assert how is not None
    assert how.room == 80e9 / room.SHARE
    assert how.device == CONTEXT + need.writing.device(how.tokens, how.room) <= HEADROOM * 80e9


def test_where_little_is_left_passes_are_short_and_texts_few():
    need = running(LARGE, "bf16", 512, writes=512)
    writing = need.writing
    size = (CONTEXT + writing.fixed + ENOUGH_TOKENS * writing.token + 3.2 * writing.each) / HEADROOM
    how = fit(need, size)
    assert how is not None
    assert (how.tokens, how.room) == (ENOUGH_TOKENS, pytest.approx(3.2 * writing.text))
    how = fit(need, (CONTEXT + writing.fixed + ENOUGH_TOKENS * writing.token + 1) / HEADROOM)
    assert how is not None
    assert how.tokens == need.least
    assert how.room == pytest.approx((ENOUGH_TOKENS - 512) * writing.token / writing.each * writing.text)


@pytest.mark.parametrize("adapters", [None, (8, ("q_proj",))])
def test_a_stage_that_trains_and_then_writes_holds_the_larger_of_both(adapters):
    how = {"adapters": adapters, "stopping": False, "language": True}
    plain, writes = training(LARGE, "bf16", 512, **how), training(LARGE, "bf16", 512, **how, writes=512)
    assert dataclasses.replace(writes, writing=None) == plain
    assert writes.writing.fixed < plain.fixed
    assert writes.device(512, True) == max(plain.device(512, True), CONTEXT + writes.writing.device(512, 0))
    alone, several = writes.writing, writes.on(4).writing
    assert (several.weights, several.text) == (alone.weights / 4, alone.text)
    assert several.fixed < alone.fixed


def test_early_stopping_keeps_its_state_while_it_writes():
    how = {"adapters": None, "language": True, "writes": 512}
    stopping, plain = (training(LARGE, "fp32", 512, stopping=one, **how).writing.fixed for one in (True, False))
    assert stopping - plain == 12 * (LARGE.params + LARGE.head)
