"""Processes that share a model give what one gives: every loss, pairs, likelihoods, written texts, checkpoints."""

import numpy as np
import pytest
from safetensors.torch import load_file

from tests.sharded import ALL, each_loss, few_losses, few_rows, halfway, other_learners, refused, saved, together
from tests.tiny import tiny_llama

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("model"), layers=1, hidden=16)


def same(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, **CLOSE, err_msg=name)


@pytest.mark.slow
def test_every_loss_is_that_of_one_process(folder):
    expected = each_loss(folder)
    assert len(expected) == 2 * len(ALL)
    same(together(4, each_loss, folder), expected)


@pytest.mark.slow
def test_losses_of_rows_and_of_batches_are_those_of_one_process(folder):
    same(together(2, few_losses, folder), few_losses(folder))


@pytest.mark.slow
def test_pairs_likelihoods_and_written_texts_are_those_of_one_process(folder):
    same(together(2, other_learners, folder), other_learners(folder))


@pytest.mark.slow
def test_all_processes_refuse_a_model_that_forgets(folder):
    assert together(2, refused, folder) == {"refused": [2]}


@pytest.mark.slow
def test_ranks_without_a_row_make_their_passes(folder):
    same(together(4, few_rows, folder), few_rows(folder))


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 2)])
def test_a_training_goes_on_in_any_number_of_processes(folder, tmp_path, before, after):
    checkpoint = tmp_path / "checkpoint.safetensors"
    whole = together(before, halfway, folder, checkpoint)
    rest = together(after, halfway, folder, checkpoint)
    assert (whole["from"], rest["from"]) == ([0.0], [1.0])
    if before == after:
        assert rest["steps"] == whole["steps"][1:]  # to the bit
    else:
        np.testing.assert_allclose(rest["steps"], whole["steps"][1:], **CLOSE)


@pytest.mark.slow
def test_the_first_process_writes_what_was_trained(folder, tmp_path):
    for size in (1, 2):
        together(size, saved, folder, tmp_path / str(size))
    alone, shared = load_file(tmp_path / "1"), load_file(tmp_path / "2")
    assert alone.keys() == shared.keys()
    assert all(alone[name].equal(shared[name]) for name in alone)
