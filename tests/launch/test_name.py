"""A name is one command's at a time, unless another has the same cells."""

import pytest
from rich.console import Console

from tests.setups import cell, identify
from w2s_sweep.cells.cell import Sweep
from w2s_sweep.cells.merge import merge
from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.record import Request, record_sweep
from w2s_sweep.launch.sweep import _alone  # pyright: ignore[reportPrivateUsage]
from w2s_sweep.store import Store


def test_a_second_command_of_one_name_has_the_same_cells_or_is_refused(tmp_path):
    store = Store(tmp_path)
    store.prepare()
    mine, others = (merge([cell(seed=seed)], identify) for seed in (0, 1))
    with _alone(store, "s", mine):
        with pytest.raises(LaunchError, match=r"name: 's' is being run by another command on .* name=OTHER"):
            _alone(store, "s", mine).__enter__()  # it has not written its record so far
        request = Request(["launch.py"], overrides=[[]])
        record_sweep(Console(), store, Sweep(store=str(tmp_path), name="s"), request, [cell(seed=0)], mine, {})
        with _alone(store, "s", mine):
            pass
        with pytest.raises(LaunchError, match="with other cells"):
            _alone(store, "s", others).__enter__()
        with _alone(store, "t", others):
            pass
    with _alone(store, "s", others):
        pass
