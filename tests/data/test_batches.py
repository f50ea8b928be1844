"""Batches: every row once an epoch, a budget that holds, and content that follows from the arguments alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_sweep.data.batches import epoch_order, micro_batches, optimizer_batches, pack, packed_batches, pad

lengths_lists = st.lists(st.integers(1, 60), min_size=1, max_size=80)


@given(st.integers(0, 200), st.integers(0, 2**31 - 1), st.integers(0, 9))
def test_an_epoch_is_a_permutation_that_repeats(n, seed, epoch):
    order = epoch_order(n, seed, epoch)
    assert sorted(order) == list(range(n))
    assert np.array_equal(order, epoch_order(n, seed, epoch))


def test_seeds_and_epochs_deal_differently():
    orders = {tuple(epoch_order(50, seed, epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_the_order_of_a_released_seed_never_changes():
    assert epoch_order(8, 0, 0).tolist() == [3, 2, 1, 6, 0, 7, 4, 5]
    assert epoch_order(8, 7, 1).tolist() == [1, 3, 2, 7, 4, 5, 0, 6]


@given(st.integers(1, 200), st.integers(1, 40), st.integers(1, 3), st.integers(0, 99))
def test_each_epoch_visits_every_row_once_in_batches_of_like_size(n, batch_size, epochs, seed):
    batches = optimizer_batches(n, batch_size, epochs, seed)
    assert len(batches) == epochs * -(-n // batch_size)
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    for epoch in np.split(np.concatenate(batches), epochs):
        assert sorted(epoch) == list(range(n))


def test_no_rows_are_no_batches():
    assert optimizer_batches(0, 32, 2, 0) == []
    assert micro_batches([], [], 100) == []


@given(lengths_lists, st.integers(1, 200), st.data())
def test_micro_batches_deal_out_each_row_once_within_the_budget(lengths, budget, data):
    rows = data.draw(st.lists(st.sampled_from(range(len(lengths))), unique=True))
    groups = micro_batches(lengths, rows, budget)
    assert sorted(row for group in groups for row in group) == sorted(rows)
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[row] for row in group) <= budget


@given(lengths_lists, st.integers(1, 200), st.data())
def test_packed_batches_have_no_more_real_tokens_than_the_budget(lengths, budget, data):
    rows = data.draw(st.lists(st.sampled_from(range(len(lengths))), unique=True))
    groups = packed_batches(lengths, rows, budget)
    assert [row for group in groups for row in group] == sorted(rows, key=lambda row: -lengths[row])
    sizes = [sum(lengths[row] for row in group) for group in groups]
    for group, size, after in zip(groups, sizes, [*groups, None][1:], strict=True):
        assert len(group) == 1 or size <= budget
        assert after is None or size + lengths[after[0]] > budget


@given(lengths_lists)
def test_rows_come_longest_first_and_equals_keep_their_order(lengths):
    flat = [row for group in micro_batches(lengths, range(len(lengths)), 100) for row in group]
    assert flat == sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))


def test_padding_is_on_the_right_and_only_the_mask_says_so():
    tokens, mask = pad([[5, 0, 7], [0]], pad_id=0)
    assert tokens.tolist() == [[5, 0, 7], [0, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize("pad_id", [0, 3])
def test_padding_loses_no_token(pad_id):
    rows = [[1, 2, 3], [4], [3, 3]]
    tokens, mask = pad(rows, pad_id)
    assert [t[m == 1].tolist() for t, m in zip(tokens, mask, strict=True)] == rows


def test_packed_texts_stand_one_after_the_other_and_count_from_zero():
    tokens, mask, texts = pack([[5, 0, 7], [9], [3, 3]])
    assert tokens.tolist() == [[5, 0, 7, 9, 3, 3]]
    assert mask.tolist() == [[1] * 6]
    assert texts.lengths == (3, 1, 2)
    assert texts.bounds.tolist() == [0, 3, 4, 6]
    assert texts.positions.tolist() == [[0, 1, 2, 0, 0, 1]]
