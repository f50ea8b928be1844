"""Sums that are fast are those of NumPy, to the last bit."""

import numpy as np
import pytest

from w2s_sweep.arrays import add_classes
from w2s_sweep.metrics.means import score_all


@pytest.mark.parametrize("classes", [2, 3, 9])
def test_sums_over_classes_are_those_of_numpy(classes):
    values = np.random.default_rng(0).normal(size=(7, 50, classes))
    assert np.array_equal(add_classes(values), values.sum(-1))


@pytest.mark.parametrize("terms", [1, 2, 3])
def test_a_set_among_others_has_the_scores_that_it_has_alone(terms):
    values = np.random.default_rng(0).random((5, 301, terms))
    together = score_all(values, lambda means: means.sum(0))
    alone = [score_all(one[None], lambda means: means.sum(0))[0] for one in values]
    assert np.allclose(together, alone, rtol=1e-15, atol=0)
