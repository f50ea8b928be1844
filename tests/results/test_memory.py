"""Objects that last are not gone through, and are again afterwards, whatever happens."""

import gc

import pytest

from w2s_sweep.results.memory import set_objects_aside


def test_objects_are_set_aside_for_as_long_as_is_said():
    before = gc.get_freeze_count()
    with pytest.raises(ValueError), set_objects_aside():
        assert gc.get_freeze_count() > before
        raise ValueError
    assert gc.get_freeze_count() == 0
