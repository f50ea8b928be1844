"""Samples: drawn by the model's probabilities, the same whatever else is drawn; of several answers the one that most of
them give; a stage that was stopped ends as one that was not."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.tiny import sentences, tiny_gpt2
from w2s_sweep.data.tasks.reasoning import final_answer
from w2s_sweep.errors import Preempted
from w2s_sweep.models.decode import greedy, sample
from w2s_sweep.models.language import LanguageModel
from w2s_sweep.models.load import load_backbone
from w2s_sweep.stages.sample import draw, vote

HOW = {"most": 5, "end": -1, "precision": "fp32"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return LanguageModel(load_backbone(tiny_gpt2(tmp_path_factory.mktemp("gpt2"))))


@pytest.fixture(scope="module")
def prompts(model):
    return model.backbone.tokens(sentences(6, most=4), 16)


NAMES = list("abcdef")


def test_what_is_drawn_for_a_row_depends_on_nothing_else(model, prompts):
    many = sample(model, prompts, NAMES, count=3, temperature=1.0, seed=0, **HOW)
    assert [len(row) for row in many] == [3] * 6
    few = sample(model, prompts[::-1], NAMES[::-1], count=2, temperature=1.0, seed=0, token_budget=25, **HOW)
    assert few[::-1] == [row[:2] for row in many]
    assert sample(model, prompts, NAMES, count=3, temperature=1.0, seed=1, **HOW) != many
    assert sample(model, prompts, [*"uvwxyz"], count=3, temperature=1.0, seed=0, **HOW) != many


def test_cold_samples_are_the_likeliest_texts(model, prompts):
    cold = sample(model, prompts, NAMES, count=2, temperature=1e-6, seed=0, **HOW)
    likeliest = greedy(model, prompts, **HOW)
    assert cold == [[text, text] for text in likeliest]


@pytest.mark.slow
def test_first_tokens_come_as_often_as_they_are_likely(model, prompts):
    drawn = sample(model, prompts[:1], ["a"], count=4000, temperature=0.5, seed=0, **(HOW | {"most": 1}))
    with torch.no_grad():
        hidden = model.transformer(input_ids=torch.tensor(prompts[:1])).last_hidden_state[0, -1]
        expected = ((hidden @ model.unembedding.T) / 0.5).softmax(0).double().numpy()
    counts = Counter(tokens[0] for tokens in drawn[0])
    found = np.array([counts[token] for token in range(len(expected))]) / 4000
    assert np.abs(found - expected).max() < 4 * np.sqrt(expected.max() / 4000)


def test_the_answer_that_most_give_wins_and_texts_without_one_do_not_count():
    assert vote(final_answer, ["a #### 3", "b #### 4", "c #### 3.0", "none"]) == ("a #### 3", 0.5)
    assert vote(final_answer, ["#### 4", "#### 3"]) == ("#### 4", 0.5)
    assert vote(final_answer, ["none", "nothing", "never"]) == ("none", 0.0)
    assert vote(str.strip, ["x", " x", "y"]) == ("x", 2 / 3)


def context_in(folder, stops):
    """A running stage that is asked to leave when `stops` says so."""
    settings = SimpleNamespace(count=2, temperature=1.0, seed=0, trained=SimpleNamespace(finetune=SimpleNamespace()))
    settings.trained.finetune.precision = "fp32"
    return SimpleNamespace(
        settings=settings,
        work=folder,
        progress=lambda done, total: None,
        stop=stops,
        checkpoint_due=lambda: False,
        on_continue=lambda: None,
    )


@pytest.mark.parametrize(("asked_before", "left"), [(0, 6), (4, 6), (5, 5), (10, 4)])
def test_samples_that_are_there_are_not_drawn_again(asked_before, left, model, prompts, tmp_path, monkeypatch):
    """A stop is noticed after any forward pass, of which a row takes five here."""
    monkeypatch.setattr("w2s_sweep.stages.sample.CHUNK", 2)
    monkeypatch.setattr("w2s_sweep.models.decode.room_of", lambda *_: 2)
    stops = iter([*[False] * asked_before, True, True])
    asked = SimpleNamespace(rows=prompts, most=5, end=-1)
    names = dict(enumerate(NAMES))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = draw(context_in(tmp_path / "a", lambda: False), model, asked, names, 8192)
    with pytest.raises(Preempted):
        draw(context_in(tmp_path / "b", lambda: next(stops)), model, asked, names, 8192)
    drawn = []
    monkeypatch.setattr(
        "w2s_sweep.stages.sample.sample",
        lambda model, part, names, **how: drawn.extend(names) or sample(model, part, names, **how),
    )
    assert draw(context_in(tmp_path / "b", lambda: False), model, asked, names, 8192) == whole
    assert len(drawn) == left


def test_progress_is_told_within_a_chunk(model, prompts, tmp_path, monkeypatch):
    """Else a stage that writes long would look as if it hung."""
    monkeypatch.setattr("w2s_sweep.stages.sample.CHUNK", 4)
    monkeypatch.setattr("w2s_sweep.models.decode.room_of", lambda *_: 2)
    told, context = [], context_in(tmp_path, lambda: False)
    context.progress = lambda *numbers: told.append(numbers)
    draw(context, model, SimpleNamespace(rows=prompts, most=5, end=-1), dict(enumerate(NAMES)), 8192)
    assert {total for _, total in told} == {len(NAMES)}
    done = [done for done, _ in told]
    assert done == sorted(done)
    assert {0, 1, 4, 5, 6} <= {*done}
