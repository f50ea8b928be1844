"""Tokenisation: 1 to `max_tokens` ids a text, the end of long texts and special tokens kept, misfits refused."""

import pytest

from tests.tiny import byte_tokenizer, sentences, word_tokenizer
from w2s_sweep.data.tokens import tokenise
from w2s_sweep.errors import ModelError

TEXTS = [*sentences(20), "", "   ", "Zürich <eos> 雪"]


@pytest.mark.parametrize("tokenizer", [byte_tokenizer(), byte_tokenizer(bos=True), word_tokenizer()])
@pytest.mark.parametrize("most", [3, 8, 512])
def test_every_text_has_between_one_and_max_tokens(tokenizer, most):
    ids = tokenise(tokenizer, TEXTS, most)
    assert len(ids) == len(TEXTS)
    assert all(1 <= len(row) <= most for row in ids)


@pytest.mark.parametrize("tokenizer", [byte_tokenizer(), byte_tokenizer(bos=True)])
def test_decoders_keep_the_end_of_a_long_text(tokenizer):
    """A task's question and answer stand at the end of its text."""
    whole, cut = tokenise(tokenizer, TEXTS, 512), tokenise(tokenizer, TEXTS, 4)
    special = 1 if whole[0][0] == tokenizer.bos_token_id else 0
    assert cut == [row if len(row) <= 4 else row[:special] + row[special - 4 :] for row in whole]


def test_encoders_keep_the_closing_token_of_a_long_text():
    tokenizer = word_tokenizer()
    (row,) = tokenise(tokenizer, [" ".join(["good"] * 50)], 6)
    assert row == [tokenizer.cls_token_id, *[tokenizer.convert_tokens_to_ids("good")] * 4, tokenizer.sep_token_id]


def test_an_empty_text_becomes_one_special_token():
    tokenizer = byte_tokenizer()
    assert tokenise(tokenizer, ["", "good"], 8)[0] == [tokenizer.bos_token_id]


def test_the_side_that_a_tokenizer_was_saved_with_makes_no_difference():
    tokenizer = byte_tokenizer()
    expected = tokenise(tokenizer, TEXTS, 4)
    for side in ("left", "right"):
        tokenizer.truncation_side = side
        assert tokenise(tokenizer, TEXTS, 4) == expected
        assert tokenizer.truncation_side == side


def test_padding_and_truncation_stored_in_a_tokenizer_file_are_not_applied():
    tokenizer = byte_tokenizer()
    expected = tokenise(tokenizer, TEXTS, 40)
    tokenizer.backend_tokenizer.enable_padding(length=128)
    tokenizer.backend_tokenizer.enable_truncation(max_length=2)
    assert tokenise(tokenizer, TEXTS, 40) == expected


def test_ids_beyond_the_embedding_are_refused():
    with pytest.raises(ModelError, match=r"embeds ids 0 to 9 only.*belongs to another model"):
        tokenise(byte_tokenizer(), TEXTS, 8, vocabulary=10)


def test_no_texts_are_no_rows():
    assert tokenise(byte_tokenizer(), [], 8) == []
