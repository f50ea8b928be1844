"""The numbers of cells are the same in all files, and none is rounded; some cells have further metrics that others have
not."""

import csv
import io
import json
from dataclasses import replace

import pytest

from tests.results_store import LOSSES, NAME, Shape, build
from w2s_sweep.metrics import Interval
from w2s_sweep.results.collect import collect
from w2s_sweep.results.records import NONE
from w2s_sweep.results.tables.arrow import cell_table
from w2s_sweep.results.tables.files import as_csv
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


ODD = (1e-7, -0.0, 1 / 3, 5e-324, 1.7976931348623157e308, -2.5e-12, 1e22, 3.0)


def test_csv_and_json_hold_the_same_values_as_the_table(two):
    first, second = ({f"m{i}": Interval(x, -x, None) for i, x in enumerate(ODD)}, {'=odd "name", %': Interval(0.5)})
    results = with_details(two, first, second)
    rows = cell_table(results).to_pylist()
    assert {repr(rows[0][f"m{i}"]) for i in range(len(ODD))} == {*map(repr, ODD)}
    names = {f"{name}{end}" for name in (*first, *second) for end in ("", "_low", "_high")}
    own = [{name for name in names if name.startswith("m")}, {name for name in names if name.startswith("=")}]
    written = list(csv.DictReader(io.StringIO(as_csv(results))))
    assert [list(row) for row in written] == [list(rows[0])] * 2
    for row, text, plain, has in zip(rows, written, json.loads(as_json(results))["cells"], own, strict=True):
        assert list(plain) == [name for name in row if name not in names - has]
        assert list(map(repr, plain.values())) == [repr(row[name]) for name in plain]
        numbers = {name: value for name, value in row.items() if not isinstance(value, str)}
        assert {name: text[name] for name in numbers} == {n: "" if v is None else repr(v) for n, v in numbers.items()}


def test_a_number_that_json_has_not_is_named(two):
    with pytest.raises(ValueError, match="endless_low is infinite"):
        as_json(with_details(two, {"endless": Interval(0.5, float("-inf"), 1.0)}, {}))
