"""Keys name results for ever: they may change only when a version is bumped by hand."""

import dataclasses
import json
import subprocess
import sys
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.setups import cell, data_settings, dataset, identify, model
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.ceiling import Ceiling
from w2s_sweep.config.finetune import Full, Lora, Probe
from w2s_sweep.config.model import Adapt
from w2s_sweep.config.schema import schema
from w2s_sweep.config.supervisor import Supervisor
from w2s_sweep.errors import ConfigError
from w2s_sweep.kinds import KINDS
from w2s_sweep.kinds.base import Hashed, Hints, Kind
from w2s_sweep.kinds.data import Data
from w2s_sweep.launch.needs import memory_of
from w2s_sweep.losses.confidence import Confidence
from w2s_sweep.methods.ccs import Ccs
from w2s_sweep.methods.confidence_filter import ConfidenceFilter
from w2s_sweep.methods.conflict import Conflict
from w2s_sweep.methods.critic import Critic
from w2s_sweep.methods.ensemble import Ensemble
from w2s_sweep.methods.icm import Icm, IcmFeatures
from w2s_sweep.methods.label_refinement import LabelRefinement
from w2s_sweep.methods.mean_difference import MeanDifference
from w2s_sweep.methods.overlap_selection import OverlapSelection
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.methods.reasoning import Reasoning
from w2s_sweep.methods.selective import Selective
from w2s_sweep.plan.stage import KEY_DIGITS, Stage, canonical, differences, digest

GOLDEN = {
    "data": "fc1f016e767d0269a5d7",
    "features": "31bdf3c30704094b5f9e",
    "probe": "f3f6edc94020691eea7d",
    "prompt": "a7d82d74d51f8de0b4a7",
    "calibrate": "383422e020f483dca96a",
    "correct": "e4601eec190e6ceae2fc",
    "relabel": "57bd50fa6f08e79b06f9",
    "route": "773d5aaafb502acb61cb",
    "reveal": "108d1adb9c97bc1ffca8",
    "finetune": "83c12fd18bc44a4bf841",
    "weigh": "64856a4ee192b4a3e68f",
    "evaluate": "bbe87457f621f6fef504",
    "pick": "6904be4ae4f738c59071",
    "combine": "af07e8f4c9c4b127f2e6",
    "select": "6191af77378f7b1b8ecc",
    "filter": "2090c9bd49dc7d39f79c",
    "annotate": "595e2cc57e4f996a0807",
    "elicit": "12f43bdca94dc829f59d",
    "generate": "f5b11698b34abc970636",
    "adapt": "c310b04646eb0f48947c",
    "labels_file": "1eaf681e6c7cb21457f6",
    "harden": "35bce67740eef5005e71",
    "contrast": "2cdc92ef31bc1910fa37",
    "ccs": "91bcdac6f91f940d57cb",
    "mean_difference": "2e2f8154817759ff5ad2",
    "temper": "433fc122ab5a513f9994",
    "sample": "6de6c644ef80150d0cc5",
    "prefer": "72c2e9b342fd251afd48",
    "agree": "b4a0dcf6247f06c7dbd8",
    "critique": "8d53d2e250fd80b1dd32",
    "held_out": "91e98f52c5bc660472f0",
    "refine": "68ff321989121b280729",
    "features_file": "5c6492d67f92dfb5a482",
}
"""Keys of one stage of each kind as released. A change here retrains everybody's world: bump the kind's version."""


def test_a_weight_that_is_left_to_the_student_is_that_of_its_model_in_the_key():
    def student(loss, **changed):
        strong = dataclasses.replace(cell().strong, **changed)
        return merge([cell(loss=loss, strong=strong)], identify).roles[0].student

    assert student(Confidence(max_weight=None)) == student(Confidence())
    large = student(Confidence(max_weight=None), confidence_weight=0.75)
    assert large == student(Confidence(max_weight=0.75))
    assert large != student(Confidence(max_weight=None))


def one_of_each_kind():
    """The first stage of each kind in the graphs of some cells."""
    moves = dataclasses.replace(dataset(), task="chess_moves")
    cells = [
        cell(method=Selective(shots=4), finetune=Probe(batch_size=32, epochs=2, l2=0.0)),
        cell(method=Ensemble(rule="boosted"), finetune=Lora(early_stopping="weak"), loss=Confidence()),
        cell(method=Conflict(kind="opposite"), strong=model("s0"), finetune=Full(head_init="label_words")),
        cell(method=OverlapSelection()),
        cell(method=ConfidenceFilter(), ceiling=Ceiling(lr=(0.1, 0.2)), tests=(dataset("other"),)),
        cell(method=Icm()),
        cell(method=Ccs()),
        cell(method=MeanDifference()),
        cell(method=IcmFeatures()),
        cell(method=Prompting(ceiling="prompted")),
        cell(weak=None, supervisor=Supervisor(labels="gpt4.jsonl", harden=True)),
        cell(supervisor=Supervisor(temperature=2.0)),
        cell(strong=dataclasses.replace(model("s0"), adapt=Adapt(rank=4)), dataset=moves, finetune=Full()),
        cell(method=Reasoning(preference=True), dataset=moves, finetune=Lora()),
        cell(method=Critic()),
        cell(method=LabelRefinement()),
        cell(strong=dataclasses.replace(model("s0"), features="vectors.npz"), finetune=Probe()),
    ]
    found = {}
    for stage in merge(cells, identify).stages.values():
        found.setdefault(stage.kind, stage)
    return found


STAGES = one_of_each_kind()


@pytest.mark.parametrize("kind", KINDS)
def test_golden_keys(kind):
    assert STAGES[kind].key == GOLDEN[kind]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kind_says_what_it_costs_and_holds_in_memory_and_has_a_function(kind):
    stage = STAGES[kind.kind]
    assert stage.cost.flops >= 0
    assert (memory_of(stage).fixed > 0) == (stage.cost.flops > 0)
    assert callable(kind.load())
    assert kind.version >= 1


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_every_setting_without_a_default_and_every_changed_one_enters_the_key(stage):
    for field in dataclasses.fields(stage.settings):
        value = getattr(stage.settings, field.name)
        in_key = field.name in stage.preimage["settings"]
        assert in_key == (field.default is dataclasses.MISSING or value != field.default), field.name


text = st.text(min_size=1)


@given(text, text, st.integers(), st.integers())
def test_another_setting_is_another_key(task, other, seed, another):
    keys = {Stage(data_settings(task=t, sample_seed=s), {}, HINTS).key for t, s in ((task, seed), (other, another))}
    assert len(keys) == (1 if (task, seed) == (other, another) else 2)


HINTS = Hints(label="x", dataset=dataset())


def test_inputs_and_kind_and_version_enter_the_key(monkeypatch):
    stage = STAGES["probe"]
    other = dict.fromkeys(stage.inputs, "1" * KEY_DIGITS)
    keys = {stage.key, Stage(stage.settings, other, stage.hints).key, STAGES["finetune"].key}
    monkeypatch.setattr(type(stage.settings), "version", 99)
    keys.add(Stage(stage.settings, stage.inputs, stage.hints).key)
    assert len(keys) == 4


def test_what_a_job_needs_to_know_does_not_enter_the_key():
    bare = Stage(data_settings(), {}, HINTS)
    labelled = Stage(data_settings(), {}, dataclasses.replace(HINTS, label="y", role="z", model=model("m")))
    assert bare.key == labelled.key
    assert bare == labelled


def test_a_new_setting_at_its_default_keeps_old_keys():
    @schema
    class Longer(Data):
        kind: ClassVar[str] = ""
        new: float = 0.0

    known = {f.name: getattr(data_settings(), f.name) for f in dataclasses.fields(Data)}
    assert Longer(**known).hashed_settings() == data_settings().hashed_settings()
    assert Longer(**known, new=0.5).hashed_settings() != data_settings().hashed_settings()


def test_inputs_that_a_kind_does_not_read_or_lacks_are_refused():
    stage = STAGES["probe"]
    for inputs in ({**stage.inputs, "lables": "0"}, {"data": "0"}):
        with pytest.raises(ValueError, match="kind probe reads"):
            Stage(stage.settings, inputs, stage.hints)
    with pytest.raises(ValueError, match="kind combine reads"):
        Stage(STAGES["combine"].settings, {"labels": "0"}, stage.hints)


def test_order_of_hashed_settings_does_not_matter():
    preimage = STAGES["annotate"].preimage
    assert digest(dict(reversed(preimage.items()))) == STAGES["annotate"].key


@pytest.mark.slow
def test_keys_are_the_same_in_another_process():
    code = "from tests.plan.test_stage import STAGES; print({kind: stage.key for kind, stage in STAGES.items()})"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == str({kind: stage.key for kind, stage in STAGES.items()})


def test_nan_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"x": float("nan")})


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_json_round_trip(stage):
    again = Stage.from_json(json.loads(json.dumps(stage.to_json())))
    assert (again, again.key, again.hints) == (stage, stage.key, stage.hints)


@pytest.mark.parametrize(
    "change", [{"settings": {"task": "other"}}, {"settings": {"sample_seed": 9}}, {"kind": "gone"}, {"key": "0"}]
)
def test_a_stage_of_another_release_is_refused(change):
    spec = STAGES["data"].to_json()
    with pytest.raises(ValueError, match=r"another release.*Submit the sweep again"):
        Stage.from_json({**spec, **change})


def test_differences_name_the_path_and_both_values():
    one = Stage(data_settings(source={"kind": "local", "sha256": "ab"}), {}, HINTS)
    other = Stage(data_settings(source={"kind": "local", "sha256": "cd"}, n_test=5), {}, HINTS)
    expected = [("settings.n_test", None, 5), ("settings.source.sha256", "ab", "cd")]
    assert differences(one.preimage, other.preimage) == expected
    assert differences(one.preimage, one.preimage) == []


def test_digest_length():
    assert len(digest({})) == KEY_DIGITS >= 16


def test_parts_of_keys_are_kinds_or_hashed():
    assert issubclass(Kind, Hashed)


def test_a_stage_whose_loss_is_gone_is_read_and_fails_alone():
    """Its key stays, other stages of the same job do not need the code that is missing."""
    spec = STAGES["probe"].to_json()
    gone = {**spec["settings"], "loss": {"name": "gone", "strength": 1, "version": 3}}
    preimage = STAGES["probe"].preimage | {"settings": gone}
    stage = Stage.from_json(spec | {"settings": gone, "key": digest(preimage)})
    assert stage.settings.hashed_settings() == gone
    with pytest.raises(ConfigError, match="gone"):
        stage.settings.loss(None, None, 0.0)
