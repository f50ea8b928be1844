"""What intervals promise, in thousands of imaginary experiments (benchmarks/pgr.py; docs/STATISTICS.md has all)."""

import pytest

from benchmarks.pgr import GAPS, SETTINGS, Setting, false_differences, simulate

pytestmark = pytest.mark.slow
TRIALS = 500
several = pytest.mark.parametrize("seeds", [3, 5])
each = pytest.mark.parametrize("setting", SETTINGS, ids=str)


@each
@several
def test_where_there_is_no_gap_an_interval_is_rare(setting: Setting, seeds: int):
    assert simulate(setting, seeds, 0.0, TRIALS).identified <= 0.07


@each
@several
@pytest.mark.parametrize("gap", GAPS)
def test_an_interval_holds_the_true_pgr(setting: Setting, seeds: int, gap: float):
    assert simulate(setting, seeds, gap, TRIALS).covered >= 0.92


@each
@several
def test_equal_students_seldom_differ(setting: Setting, seeds: int):
    assert false_differences(setting, seeds, TRIALS) <= 0.08
