"""What README promises of `make demo`: real models and real data out of packages, a real PGR."""

import csv
import re

import pytest

from tests.command import launch, sweep_record, trained

pytestmark = pytest.mark.slow


def test_the_demo_shows_the_effect_and_trains_nothing_twice(tmp_path):
    store = tmp_path / "runs"
    status, out, err = launch("experiment=demo", f"store={store}")
    assert status == 0, err
    record = sweep_record(store)
    assert len(record["cells"]) == 6
    assert len(trained(store)) == 3 + 3 + 6
    with (store / "sweeps" / "demo" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert float(row["ceiling"]) - float(row["weak"]) >= 0.05
        assert float(row["pgr_low"]) <= float(row["pgr"]) <= float(row["pgr_high"])
    mean = {loss: sum(float(r["pgr"]) for r in rows if r["loss"] == loss) / 3 for loss in ("xent", "confidence")}
    assert 0 < mean["xent"] < mean["confidence"]
    before = trained(store)
    status, out, err = launch("experiment=demo", f"store={store}")
    assert status == 0, err
    assert re.search(r"15 are unique: 15 done, 0 in flight, 0 to run", out)
    assert trained(store) == before
