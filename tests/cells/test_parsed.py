"""Cells of a grid, which share parts, are read as each alone is; what is wrong is found in shared parts too."""

import copy

import pytest

from tests.setups import cell
from w2s_sweep.cells.parse import parse
from w2s_sweep.config.plain import plain
from w2s_sweep.errors import ConfigError

SHARED = plain(cell())
"""The parts of all cells here."""
LOSSES = ({"name": "xent"}, {"name": "confidence"})


def grid():
    """2 losses x 3 seeds; seeds of the first loss are new, those of the second are known by then."""
    seeds = [1000, 2000, 3000]
    return [{**SHARED, "store": "s", "loss": loss, "seed": seed} for loss in LOSSES for seed in seeds]


def test_a_grid_is_read_as_its_cells_alone_are():
    cells, _ = parse(grid())
    assert cells == [parse([copy.deepcopy(one)])[0][0] for one in grid()]
    assert len({id(one.strong) for one in cells}) == 1
    assert [one.seed for one in cells] == [1000, 2000, 3000] * 2


def test_a_local_path_of_a_shared_part_is_followed_in_all_cells():
    strong = {**SHARED["strong"], "path": "/models/own"}
    cells, _ = parse([{**one, "strong": strong} for one in grid()])
    assert {one.strong.source.path for one in cells} == {"/models/own"}


def test_what_is_wrong_in_one_cell_does_not_hide_in_those_before_it():
    cells = grid()
    cells[4] = {**cells[4], "seed": -1}
    with pytest.raises(ConfigError, match="seed: got -1"):
        parse(cells)


def test_a_file_of_labels_leaves_the_weak_model_out_of_its_own_cells_alone():
    labelled = {**SHARED["supervisor"], "labels": "labels.csv"}
    cells = grid()
    cells[3] = {**cells[3], "supervisor": labelled}
    read, _ = parse(cells)
    assert [one.weak is None for one in read] == [i == 3 for i in range(6)]
