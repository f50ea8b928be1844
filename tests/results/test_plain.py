"""Further metrics that some cells have and others have not, in tables and in JSON."""

import json
from dataclasses import replace

import pytest

from tests.results_store import LOSSES, NAME, Shape, build
from w2s_sweep.metrics import Interval
from w2s_sweep.results.collect import collect
from w2s_sweep.results.records import NONE
from w2s_sweep.results.tables.arrow import cell_table
from w2s_sweep.results.tables.plain import as_json


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two cells."""
    return collect(build(tmp_path_factory.mktemp("two"), Shape(losses=LOSSES[:2], n_test=20)), NAME)


def with_details(results, *details):
    return replace(results, rows=tuple(replace(row, details=d) for row, d in zip(results.rows, details, strict=True)))


def test_a_cell_in_json_has_the_keys_of_its_own_further_metrics_alone(two):
    results = with_details(two, {"mine/weak": Interval(0.5)}, {"undefined": NONE})
    first, second = json.loads(as_json(results))["cells"]
    assert (first["mine_weak"], first["mine_weak_low"]) == (0.5, None)
    assert not any(name.startswith("mine") for name in second)
    assert second["undefined"] is None
    assert "undefined" not in first
    assert cell_table(results).column("mine_weak").to_pylist() == [0.5, None]


def test_metrics_that_share_a_column_do_not_hide_each_others_numbers(two):
    results = with_details(two, {"a/b": Interval(0.25), "a_b": NONE}, {"a_b": Interval(0.5)})
    table = cell_table(results)
    assert table.schema.names.count("a_b") == 1
    assert table.column("a_b").to_pylist() == [0.25, 0.5]
    assert [cell["a_b"] for cell in json.loads(as_json(results))["cells"]] == [0.25, 0.5]
