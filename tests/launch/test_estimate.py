"""What a plan will take: from finished stages that are alike, else from FLOPs; the rows of a file are counted."""

import json
import re

import pytest

from tests.command import launch
from tests.launch.named import name_stages
from w2s_sweep.launch.estimate import alike, finished_like
from w2s_sweep.store import Store
from w2s_sweep.store.files import write_json
from w2s_sweep.store.records import NamedStage


def test_stages_alike_differ_in_their_seed():
    assert alike("student a → b sst2 xent seed 3") == alike("student a → b sst2 xent seed 12")
    assert alike("student a → b sst2 xent seed 3") != alike("student a → b boolq xent seed 3")


def test_the_time_of_a_stage_that_was_interrupted_is_that_of_all_its_runs(tmp_path):
    store = Store(tmp_path / "store")
    store.prepare()
    for number, times in enumerate([{"seconds": 100.0}, {"seconds": 4.0, "seconds of all runs": 200.0}]):
        with store.attempt(f"k{number}") as out:
            write_json(out / "summary.json", {"label": f"student seed {number}"} | times)
    name_stages(store, "sweep", [NamedStage(f"k{number}", "finetune", f"student seed {number}") for number in (0, 1)])
    assert finished_like(store, {"student"})["student"][0] == 150.0


def test_a_stage_that_trained_beside_others_says_nothing_of_the_time_of_one(tmp_path):
    store = Store(tmp_path / "store")
    store.prepare()
    with store.attempt("k") as out:
        write_json(out / "summary.json", {"label": "student seed 0", "seconds": 9.0, "students at once": 4})
    name_stages(store, "sweep", [NamedStage("k", "finetune", "student seed 0")])
    assert finished_like(store, {"student"}) == {}


def estimate(out):
    examples = re.search(r"estimate: ([\d,]+) examples", out)
    expected = re.search(r"expected: (\d+) new stages, about (\S+) (?:s|min) one after another \((.*?)\)", out)
    assert examples
    assert expected
    return int(examples[1].replace(",", "")), int(expected[1]), expected[3]


@pytest.mark.slow
def test_the_rows_of_a_file_are_counted_and_probes_take_time(tmp_path, tiny_models):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": f"text {i}", "label": i % 2}) + "\n" for i in range(600)))
    words = ["dataset=local", f"dataset.path={path}", "dataset.name=mine", "plan_only=true", *tiny_models]
    status, out, err = launch(f"store={tmp_path / 'store'}", *words, "finetune=probe")
    assert status == 0, err
    examples, stages, source = estimate(out)
    assert examples == 2 * 600  # each model reads each row once
    assert stages == 6
    assert "FLOPs" in source
    assert re.search(r"[\d.]+ [GM]B of memory, [\d.]+ [kM]B of disk", out)


@pytest.mark.slow
def test_finished_stages_like_them_say_how_long_new_ones_take(tmp_path, tiny_models, tiny_task):
    store = tmp_path / "store"
    words = [f"store={store}", "plan_only=true", *tiny_models, *tiny_task, "finetune=probe"]
    label = "features tiny-weak"
    planned = launch(*words)[1]
    name = re.search(rf"to run +({label} .*?) {{2}}", planned)
    assert name
    done = store / "stages" / "k1"
    done.mkdir(parents=True)
    name_stages(Store(store), "other", [NamedStage("k1", "features", name[1])])
    (done / "summary.json").write_text(json.dumps({"label": name[1], "seconds": 1800.0}))
    (done / "manifest.json").write_text(json.dumps({"files": {"x": {"size": 7_000_000}}}))
    out = launch(*words)[1]
    assert "1 timed by finished stages like them" in out
    assert "about 30 min" in out
