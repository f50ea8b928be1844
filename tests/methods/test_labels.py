"""Labels made of labels: what is kept, revealed, combined and smoothed, whatever the order of the rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.setups import probe_settings
from w2s_sweep.errors import DataError
from w2s_sweep.kinds.labels import Reveal
from w2s_sweep.predictions import Predictions, read_predictions, write_predictions
from w2s_sweep.stages.combine import combine
from w2s_sweep.stages.filter import surest
from w2s_sweep.stages.relabel import neighbour_mean
from w2s_sweep.stages.reveal import reveal
from w2s_sweep.stages.select import change_point, parts_of
from w2s_sweep.training.examples import Rows, training_rows
from w2s_sweep.training.labels import with_probs


def budget(share, choose="random", seed=0):
    return Reveal(on="half_b", share=share, choose=choose, seed=seed)


def labels(n=60, seed=0, first="r"):
    """Soft labels on three splits, with some truth in them."""
    draw = np.random.default_rng(seed)
    one = draw.uniform(0.01, 0.99, n)
    probs = np.stack([1 - one, one], 1)
    empty = np.full((n, 2), np.nan, np.float32)
    truth = (one + draw.normal(0, 0.3, n) > 0.5).astype(np.int8)
    splits = np.array(["half_b", "half_b", "half_b", "validation", "test"], dtype=object)[np.arange(n) % 5]
    ids = np.array([f"{first}{i:03d}" for i in range(n)], dtype=object)
    return with_probs(Predictions(ids, splits, truth, probs, probs, empty), probs)


def on_half_b(p):
    return p.splits == "half_b"


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5))
def test_logits_and_probabilities_agree_even_for_certain_labels(ones):
    one = np.array(ones)
    p = with_probs(labels(len(ones)), np.stack([1 - one, one], 1))
    e = np.exp(p.logits.astype(np.float64))
    assert np.allclose(e / e.sum(1, keepdims=True), p.probs, atol=1e-6)
    assert p.problems() == []


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("balanced", [True, False])
def test_a_filter_keeps_the_surest_of_its_split_and_all_others(share, balanced):
    p = labels()
    keep = surest(p, "half_b", share, balanced)
    assert keep[~on_half_b(p)].all()
    for group in (p.probs.argmax(1) == c for c in (0, 1)) if balanced else [np.full(len(p), True)]:
        here = on_half_b(p) & group
        sure = p.probs.max(1)
        assert keep[here].sum() == max(1, round(share * here.sum()))
        assert share == 1 or sure[here & keep].min() >= sure[here & ~keep].max()


def test_a_filter_that_is_balanced_keeps_a_class_that_is_never_sure():
    p = labels()
    one = np.where(p.probs[:, 1] > 0.5, 0.51, 0.01)
    p = with_probs(p, np.stack([1 - one, one], 1))
    predicted = lambda keep: set(p.probs.argmax(1)[keep & on_half_b(p)])  # noqa: E731
    assert predicted(surest(p, "half_b", 0.2, True)) == {0, 1}
    assert predicted(surest(p, "half_b", 0.2, False)) == {0}


@pytest.mark.parametrize("choose", ["random", "least_sure"])
def test_a_budget_of_truth_goes_to_its_split_and_is_nested(choose):
    p = labels()
    before: set[int] = set()
    for share in (0.1, 0.3, 0.6, 1.0):
        mixed, count = reveal(p, "half_b", budget(share, choose, 1))
        told = set(np.flatnonzero(mixed.probs.max(1) == 1))
        assert len(told) == count == round(share * on_half_b(p).sum())
        assert before <= told <= set(np.flatnonzero(on_half_b(p)))
        assert (mixed.probs.argmax(1) == p.truth)[sorted(told)].all()
        rest = sorted(set(range(len(p))) - told)
        assert np.allclose(mixed.probs[rest], p.probs[rest], atol=1e-6)
        before = told


def test_budgets_of_other_seeds_go_to_other_rows_and_least_sure_to_the_least_sure():
    p = labels()
    told = [reveal(p, "half_b", budget(0.5, "random", s))[0].probs.max(1) == 1 for s in (0, 1)]
    assert (told[0] != told[1]).any()
    least = reveal(p, "half_b", budget(0.5, "least_sure", 0))[0].probs.max(1) == 1
    sure = p.probs.max(1)
    assert sure[least].max() <= sure[on_half_b(p) & ~least].min()


def test_combining():
    a, b = labels(seed=0), labels(seed=1)
    assert np.allclose(combine([a, b], "mean").probs, (a.probs + b.probs) / 2, atol=1e-6)
    assert np.allclose(combine([a, a], "mean").probs, a.probs, atol=1e-6)
    votes = combine([a, b], "vote").probs
    assert set(np.unique(votes)) <= {0.0, 0.5, 1.0}
    with pytest.raises(DataError, match="same examples"):
        combine([a, labels(first="x")], "mean")


def test_neighbours_are_the_nearest_other_rows():
    angle = np.array([0.0, 0.1, 0.2, 3.1, 3.2, 3.3])
    features = np.stack([np.cos(angle), np.sin(angle) / 10], 1).astype(np.float32)
    said = np.eye(2, dtype=np.float32)[[0, 0, 1, 1, 1, 1]]  # row 2 is alone among its like
    mean = neighbour_mean(features, said, 2, np.arange(6))
    assert mean[:3].argmax(1).tolist() == [0, 0, 0] or mean[2].argmax() == 0
    assert mean[3:].argmax(1).tolist() == [1, 1, 1]
    assert np.allclose(neighbour_mean(features, said, 99, np.arange(6)), (said.sum(0) - said) / 5)
    assert np.allclose(neighbour_mean(features[:1], said[:1], 3, np.arange(1)), said[:1])


def test_neighbours_do_not_depend_on_the_order_of_rows_or_on_chunks(monkeypatch):
    draw = np.random.default_rng(0)
    features, said = draw.normal(size=(40, 6)).astype(np.float32), labels(40).probs
    features[5:9] = features[4]  # ties
    keys, order = draw.permutation(40), draw.permutation(40)
    whole = neighbour_mean(features, said, 3, keys)
    assert np.allclose(neighbour_mean(features[order], said[order], 3, keys[order]), whole[order])
    monkeypatch.setattr("w2s_sweep.stages.relabel.CHUNK", 7)
    assert np.allclose(neighbour_mean(features, said, 3, keys), whole)


def test_a_change_point_separates_two_levels():
    draw = np.random.default_rng(0)
    values = np.concatenate([draw.normal(0, 0.1, 30), draw.normal(1, 0.1, 20)])
    assert change_point(draw.permutation(values)) == values[30:].min()
    assert change_point(np.array([0.7])) == 0.7
    assert change_point(np.array([0.2, 0.9])) == 0.9


def test_overlap_is_sure_and_close_to_the_unsure():
    one = np.array([0.5, 0.52, 0.95, 0.05, 0.97, 0.02])
    features = np.array([[1, 0], [0.98, 0.05], [1, 0.1], [-1, 0.1], [0, 1], [0.1, -1]], dtype=np.float32)
    parts = parts_of(np.stack([1 - one, one], 1), features)
    assert parts.tolist() == ["hard", "hard", "overlap", "overlap", "easy", "easy"]
    alike = parts_of(np.full((4, 2), 0.5), features[:4])
    assert set(alike.tolist()) <= {"easy", "overlap", "hard"}


def test_every_choice_is_by_example_and_not_by_position():
    p = labels()
    order = np.random.default_rng(0).permutation(len(p))
    q = p.take(order)
    assert (surest(q, "half_b", 0.3, True) == surest(p, "half_b", 0.3, True)[order]).all()
    for choose in ("random", "least_sure"):
        settings = budget(share=0.3, choose=choose)
        assert np.array_equal(reveal(q, "half_b", settings)[0].probs, reveal(p, "half_b", settings)[0].probs[order])


def test_labels_are_written_in_the_schema_of_predictions(tmp_path):
    p = reveal(labels(), "half_b", budget(share=0.2))[0]
    write_predictions(tmp_path / "p.parquet", p)
    assert np.array_equal(read_predictions(tmp_path / "p.parquet").probs, p.probs)


def test_rows_without_a_label_are_skipped_only_where_that_is_meant():
    splits = np.array(["half_b"] * 3 + ["test"])
    rows = Rows(np.array(list("abcd")), list("abcd"), np.array([0, 1, 0, 1], np.int8), splits)
    some = np.array([[0.5, 0.5], [np.nan, np.nan], [0.1, 0.9], [np.nan, np.nan]], np.float32)
    assert training_rows(rows, some, probe_settings(unlabelled="skip"), "s") == [0, 2]
    with pytest.raises(DataError, match="1 of 3"):
        training_rows(rows, some, probe_settings(), "s")
    with pytest.raises(DataError, match="nothing to learn"):
        training_rows(
            rows,
            np.full((4, 2), np.nan, np.float32),
            probe_settings(unlabelled="skip"),
            "s",
        )
