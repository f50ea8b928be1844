"""Prompting: answers are the language model's own, whatever is cached or padded; demonstrations are balanced draws."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from tests.tiny import sentences, tiny_bert, tiny_gpt2, tiny_llama, tiny_neox
from w2s_sweep.errors import DataError, ModelError
from w2s_sweep.models.classifier import label_word_rows
from w2s_sweep.models.load import load_backbone
from w2s_sweep.models.prompt import Template, answer_logits, require_prompt
from w2s_sweep.stages.calibrate import contextual, log_softmax, median
from w2s_sweep.stages.prompt import demonstrations
from w2s_sweep.training.examples import Rows

BUILDERS = {"llama": tiny_llama, "gpt2": lambda folder: tiny_gpt2(folder, positions=128), "neox": tiny_neox}
ASK = Template("good or bad", " is it", (" no", " yes"), 8)
SHOWN = [("the film was good", 1), ("a tedious plot", 0), ("slow slow slow", 0)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: build(tmp_path_factory.mktemp(name)) for name, build in BUILDERS.items()}


def answers(backbone, prefix, rows, **how):
    return answer_logits(backbone, prefix, rows, label_word_rows(backbone, ASK.words, 2), precision="fp32", **how)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("shown", [[], SHOWN], ids=["zero-shot", "few-shot"])
def test_answers_are_those_of_the_whole_model_reading_the_prompt(folders, name, shown):
    backbone, texts = load_backbone(folders[name]), sentences(6)
    ours = answers(backbone, ASK.prefix(backbone, shown), [ASK.encode(backbone, text) for text in texts])
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folders[name]), backbone.tokenizer
    words = [tokenizer(word)["input_ids"][0] for word in ASK.words]
    for text, found in zip(texts, ours, strict=True):
        cut = tokenizer(text)["input_ids"][-ASK.max_tokens :]
        parts = ["good or bad\n\n", *(part for t, y in shown for part in (t, " is it", ASK.words[y] + "\n\n"))]
        ids = [i for part in parts for i in tokenizer(part)["input_ids"][: None if part != text else 8]]
        ids += cut + tokenizer(" is it")["input_ids"]
        with torch.no_grad():
            said = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)[words]
        assert found[1] - found[0] == pytest.approx(float(said[1] - said[0]), abs=1e-4)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_cached_prefix_and_the_batches_change_nothing(folders, name):
    backbone = load_backbone(folders[name])
    prefix, rows = ASK.prefix(backbone, SHOWN), [ASK.encode(backbone, text) for text in sentences(9)]
    whole = answers(backbone, prefix, rows, cached=False)
    assert np.abs(whole).max() > 1e-2
    for budget in (1, 200, 8192):
        np.testing.assert_allclose(answers(backbone, prefix, rows, token_budget=budget), whole, atol=1e-5)


def test_a_text_is_cut_to_its_end_and_nothing_else_is(folders):
    backbone = load_backbone(folders["llama"])
    long = "bad " * 50 + "the film was rather good and the plot was not"
    ids, question = ASK.encode(backbone, long), backbone.tokenizer(" is it")["input_ids"]
    assert ids == backbone.tokenizer(long)["input_ids"][-8:] + question
    assert ASK.encode(backbone, "") == question
    assert ASK.prefix(backbone, [(long, 0)])[-len(ids) :] != ids
    assert len(ASK.prefix(backbone, [(long, 0)] * 3)) - len(ASK.prefix(backbone, [(long, 0)] * 2)) < 8 + 12


def test_a_prompt_begins_as_the_tokenizer_begins_texts(tmp_path):
    backbone = load_backbone(tiny_llama(tmp_path, bos=True))
    assert ASK.prefix(backbone, SHOWN).count(0) == 1
    assert ASK.prefix(backbone, SHOWN)[0] == 0
    assert 0 not in ASK.encode(backbone, "good")


def test_models_that_cannot_be_prompted_are_refused(folders, tmp_path):
    with pytest.raises(ModelError, match="masked"):
        require_prompt(load_backbone(tiny_bert(tmp_path)), [], [[5]], 0)
    backbone = load_backbone(folders["gpt2"])
    require_prompt(backbone, [5] * 100, [[5], [7] * 28], 4)
    with pytest.raises(ModelError, match=r"129 tokens.*128.*method\.shots"):
        require_prompt(backbone, [5] * 100, [[5], [7] * 29], 4)
    with pytest.raises(ModelError, match="token id 99999"):
        require_prompt(backbone, [], [[99999]], 0)
    with pytest.raises(ModelError, match=r"dataset\.prompt\.words: two of"):
        label_word_rows(backbone, (" no", " not"[:3]), 2, field="dataset.prompt.words")


def some_rows(n=40):
    splits = np.array(["half_a", "half_b", "half_b", "validation", "test"], dtype=object)[np.arange(n) % 5]
    ids = np.array([f"r{i:02d}" for i in range(n)], dtype=object)
    return Rows(ids, sentences(n), (np.arange(n) % 3 == 0).astype(np.int8), splits)


@given(st.integers(1, 10), st.sampled_from(["half_a", "half_b"]), st.integers(0, 5))
def test_demonstrations_are_balanced_and_of_the_named_split(shots, on, seed):
    rows = some_rows(100)
    labels = np.eye(2, dtype=np.float32)[1 - rows.truth]  # the labels that count need not be the truth
    shown = demonstrations(rows, labels, on, shots, seed)
    counts = np.bincount(labels[shown].argmax(1), minlength=2)
    assert len(set(shown)) == shots
    assert abs(counts[0] - counts[1]) <= 1
    assert set(rows.splits[shown]) == {on}
    assert shown == demonstrations(rows, labels, on, shots, seed)


def test_demonstrations_do_not_depend_on_the_order_of_rows_and_change_with_the_seed():
    rows, order = some_rows(), np.random.default_rng(0).permutation(40)
    labels = np.eye(2, dtype=np.float32)[rows.truth]
    turned = Rows(rows.ids[order], [rows.texts[i] for i in order], rows.truth[order], rows.splits[order])
    draws = [rows.ids[demonstrations(rows, labels, "half_b", 5, s)].tolist() for s in range(8)]
    again = [turned.ids[demonstrations(turned, labels[order], "half_b", 5, s)].tolist() for s in range(8)]
    assert draws == again
    assert len({tuple(d) for d in draws}) > 4
    firsts = {labels[demonstrations(rows, labels, "half_b", 4, s)[0]].argmax() for s in range(8)}
    assert firsts == {0, 1}


def test_only_labelled_rows_are_shown_and_too_few_are_refused():
    rows = some_rows()
    labels = np.full((40, 2), np.nan, np.float32)
    labels[[1, 2, 6]] = np.eye(2)[[0, 1, 1]]
    assert sorted(demonstrations(rows, labels, "half_b", 2, 0))[0] == 1
    with pytest.raises(DataError, match=r"need 2 rows of half_b labelled 0, there are 1"):
        demonstrations(rows, labels, "half_b", 4, 0)


logits = st.integers(1, 30).flatmap(
    lambda n: st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=n, max_size=n).map(np.array)
)


@given(logits, st.integers(0, 3))
def test_an_answer_to_nothing_is_uniform_after_contextual_calibration(said, blanks):
    blank = np.repeat(said[:1], 1 + blanks, axis=0)
    np.testing.assert_allclose(log_softmax(contextual(blank, blank)), np.log(0.5), atol=1e-9)
    p = np.exp(log_softmax(said)) / np.exp(log_softmax(blank)).mean(0)
    np.testing.assert_allclose(np.exp(log_softmax(contextual(said, blank))), p / p.sum(1, keepdims=True), atol=1e-9)


@given(logits)
def test_calibration_never_changes_the_order_of_rows(said):
    margin = log_softmax(said)[:, 1] - log_softmax(said)[:, 0]
    for out in (contextual(said, said[:1]), median(said, np.ones(len(said), bool))):
        np.testing.assert_allclose(np.diff(out, axis=1)[:, 0] - margin, out[0, 1] - out[0, 0] - margin[0], atol=1e-9)


def test_a_median_halves_the_rows_it_is_taken_of_and_looks_at_no_other():
    draw = np.random.default_rng(0)
    said = draw.normal(size=(60, 2)) + np.array([0, 5])
    among = np.arange(60) < 40
    out = median(said, among)
    assert (out[among].argmax(1) == 1).sum() == 20
    other = said.copy()
    other[~among] += draw.normal(size=(20, 2))
    assert np.array_equal(median(other, among)[among], out[among])


def test_a_median_of_four_classes_gives_each_a_quarter_of_the_rows():
    said = np.random.default_rng(1).normal(size=(80, 4)) + np.array([0, 5, 2, -3])
    out = median(said, np.arange(80) < 40)
    assert np.bincount(said[:40].argmax(1), minlength=4).max() > 30
    assert np.bincount(out[:40].argmax(1), minlength=4).tolist() == [10] * 4
    moved = out - log_softmax(said)
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-9)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_pair_is_asked_about_in_the_words_around_it_and_each_text_keeps_its_end(folders, name):
    backbone = load_backbone(folders[name])
    ids = lambda text: backbone.tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    of_pairs, texts = dataclasses.replace(ASK, pair="one {first} two {second} end"), (" good", " the film" * 30)
    expected = [*ids("one "), *ids(texts[0])[-8:], *ids(" two "), *ids(texts[1])[-8:], *ids(" end is it")]
    assert of_pairs.encode(backbone, texts) == expected
    shown = [*expected, *ids(" yes\n\n")]
    assert of_pairs.prefix(backbone, [(texts, 1)])[-len(shown) :] == shown
