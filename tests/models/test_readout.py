"""Read-outs: what is padded never changes them, and the mask alone says what is padded."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from w2s_sweep.models.readout import last_token, mean_tokens, pool

WIDTH = 5


def batch(lengths, extra=0, filler=0.0):
    """Hidden states that depend on (row, position) alone, with `filler` where the mask is 0."""
    tokens = max(lengths) + extra
    hidden = torch.stack(
        [torch.randn(64, WIDTH, generator=torch.Generator().manual_seed(row))[:tokens] for row in range(len(lengths))]
    )
    mask = (torch.arange(tokens) < torch.tensor(lengths)[:, None]).long()
    return torch.where(mask[..., None] == 1, hidden, filler), mask


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(0, 9), st.sampled_from(["last", "mean"]))
def test_more_padding_changes_nothing(lengths, extra, pooling):
    for is_decoder in (True, False):
        plain = pool(*batch(lengths), pooling, is_decoder)
        padded = pool(*batch(lengths, extra, filler=1e6), pooling, is_decoder)
        torch.testing.assert_close(padded, plain)


def test_last_is_the_last_position_of_the_mask():
    hidden, mask = batch([1, 4, 7])
    assert torch.equal(last_token(hidden, mask), torch.stack([hidden[0, 0], hidden[1, 3], hidden[2, 6]]))


def test_last_also_holds_for_padding_on_the_left():
    hidden, _ = batch([6, 6])
    mask = torch.tensor([[0, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 0]])
    assert torch.equal(last_token(hidden, mask), torch.stack([hidden[0, 5], hidden[1, 4]]))


def test_the_mean_leaves_out_the_first_token_of_a_decoder_unless_it_is_the_only_one():
    hidden, mask = batch([1, 2, 5])
    hidden[:, 0] *= 1e4
    with_sink, without = mean_tokens(hidden, mask, skip_first=False), mean_tokens(hidden, mask, skip_first=True)
    torch.testing.assert_close(with_sink[2], hidden[2, :5].mean(0))
    torch.testing.assert_close(without, torch.stack([hidden[0, 0], hidden[1, 1], hidden[2, 1:5].mean(0)]))


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_the_result_is_float32_whatever_the_hidden_states_are(pooling):
    hidden, mask = batch([3, 4])
    assert pool(hidden.bfloat16(), mask, pooling, True).dtype == torch.float32
