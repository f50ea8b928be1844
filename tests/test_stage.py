"""Keys name results for ever: they may change only when a version is bumped by hand."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_sweep.plan import stage as stage_module
from w2s_sweep.plan.stage import KEY_DIGITS, KINDS, NEUTRAL, VERSIONS, Stage, canonical, differences, digest
from w2s_sweep.stages.table import STAGES

GOLDEN = {
    "data": "aa924fc54dd67a2c9767",
    "features": "bcf2ac46bb74fe4e218a",
    "probe": "27ea699fdc1a5b612aa4",
    "finetune": "bbe9302653014a53b2c6",
    "select": "7c218bc529c9f71558f0",
    "combine": "30c0a4ec6f77374d7780",
    "filter": "f08f18dbddcf4d04557c",
    "reveal": "2ccd72fdee30271432b2",
    "relabel": "913d3066c29a526603d7",
    "prompt": "f99799c6d0f2e3a5c7d5",
    "annotate": "f06e7691ded825b2f4b3",
    "calibrate": "3c47db218506bab9aba3",
    "elicit": "34578fd7d8361ace13e1",
    "correct": "56c65f5886a4bfd94878",
    "route": "56b4c1b517a89a44f39b",
    "weigh": "4972b10e53d8c3c0e9b7",
    "adapt": "22423d48bc6ab397411c",
    "generate": "d50730c884f46459a5ca",
}
"""Keys of the stages below as released. A change here retrains everybody's world: bump VERSIONS instead."""

SETTINGS = {"model": {"kind": "local", "sha256": "ab"}, "lr": 1e-5, "seed": 0, "flag": None, "words": ["no", "yes"]}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize("kind", KINDS)
def test_golden_keys(kind):
    assert Stage(kind, SETTINGS, {"data": "0123"}).key == GOLDEN[kind]


def test_every_kind_has_a_version_neutral_values_and_a_function():
    assert set(KINDS) == set(VERSIONS) == set(NEUTRAL) == set(STAGES)


@given(st.dictionaries(st.text(), json_values, min_size=2, max_size=5))
def test_order_of_settings_does_not_matter(settings):
    backwards = dict(reversed(settings.items()))
    assert Stage("data", settings).key == Stage("data", backwards).key


@given(st.dictionaries(st.text(min_size=1), json_values, min_size=1, max_size=4), st.data())
def test_any_other_setting_is_another_key(settings, data):
    name = data.draw(st.sampled_from(sorted(settings)))
    other = data.draw(json_values.filter(lambda value: canonical(value) != canonical(settings[name])))
    assert Stage("data", settings).key != Stage("data", settings | {name: other}).key


def test_inputs_and_kind_and_version_enter_the_key(monkeypatch):
    stage = Stage("probe", SETTINGS, {"data": "0"})
    keys = {stage.key, Stage("finetune", SETTINGS, {"data": "0"}).key, Stage("probe", SETTINGS, {"data": "1"}).key}
    monkeypatch.setattr(stage_module, "VERSIONS", {**VERSIONS, "probe": 99})
    keys.add(Stage("probe", SETTINGS, {"data": "0"}).key)
    assert len(keys) == 4


def test_what_a_job_needs_to_know_does_not_enter_the_key():
    bare, told = Stage("data", SETTINGS), Stage("data", SETTINGS, run={"label": "x", "path": "/somewhere"})
    assert bare.key == told.key
    assert bare == told


def test_a_new_setting_at_its_neutral_value_keeps_old_keys(monkeypatch):
    before = Stage("probe", SETTINGS).key
    monkeypatch.setattr(stage_module, "NEUTRAL", {**NEUTRAL, "probe": {"new": 0.0}})
    assert Stage("probe", SETTINGS | {"new": 0.0}).key == before
    assert Stage("probe", SETTINGS | {"new": 0.5}).key != before


def test_keys_are_the_same_in_another_process():
    code = (
        "import json,sys; from w2s_sweep.plan.stage import Stage;"
        "print(Stage('probe', json.loads(sys.argv[1]), {'data': '0'}).key)"
    )
    there = subprocess.run(
        [sys.executable, "-c", code, json.dumps(SETTINGS)], capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == Stage("probe", SETTINGS, {"data": "0"}).key


def test_nan_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        Stage("data", {"x": float("nan")}).key  # noqa: B018 - computing it is the test


def test_json_round_trip_and_refusal_of_another_release():
    stage = Stage("probe", SETTINGS, {"data": "0"}, {"label": "x"})
    spec = json.loads(json.dumps(stage.to_json()))
    again = Stage.from_json(spec)
    assert (again.key, again.run) == (stage.key, stage.run)
    with pytest.raises(ValueError, match="another release"):
        Stage.from_json(spec | {"settings": SETTINGS | {"lr": 2e-5}})


def test_differences_name_the_path_and_both_values():
    left = Stage("probe", SETTINGS, {"data": "0"}).preimage
    right = Stage("probe", SETTINGS | {"model": {"kind": "local", "sha256": "cd"}}, {"data": "1"}).preimage
    assert differences(left, right) == [("inputs.data", "0", "1"), ("settings.model.sha256", "ab", "cd")]
    assert differences(left, left) == []


def test_digest_length():
    assert len(digest({})) == KEY_DIGITS >= 16
