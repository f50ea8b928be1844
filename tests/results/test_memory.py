"""Objects that last are not gone through, and are again afterwards, whatever happens."""

import gc

import pytest

from w2s_sweep.results.memory import set_objects_aside


def test_objects_are_set_aside_for_as_long_as_is_said():
    def fail() -> None:
        with set_objects_aside():
            assert gc.get_freeze_count() > 0
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert gc.get_freeze_count() == 0
