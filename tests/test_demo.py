"""What README promises of `make demo`: real models and real data out of packages, a real PGR."""

import json
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
    groups = json.loads((store / "sweeps" / "demo" / "table.json").read_text())["groups"]
    for group in groups:
        assert group["gap"]["low"] >= 0.03
        assert group["unidentified"] == ""
    pgr = {group["loss"]: group["pgr"] for group in groups}
    assert 0 < pgr["xent"]["value"] < pgr["confidence"]["value"]
    assert pgr["confidence"]["low"] > 0
    before = trained(store)
    status, out, err = launch("experiment=demo", f"store={store}")
    assert status == 0, err
    assert re.search(r"15 are unique: 15 done, 0 in flight, 0 to run", out)
    assert trained(store) == before
