"""What a plan will take: from finished stages that are alike, else from FLOPs; the rows of a file are counted."""

import json
import re

import pytest

from tests.command import launch
from w2s_sweep.launch.estimate import alike, in_bytes, in_time


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "about 0 s"), (60, "about 60 s"), (600, "about 10 minutes"), (9000, "about 2.5 hours")]
)
def test_times_are_said_as_people_say_them(seconds, words):
    assert in_time(seconds) == words


def test_sizes_are_said_in_the_largest_unit():
    assert [in_bytes(size) for size in (5e3, 2e6, 3.5e9, 1e12)] == ["5 kB", "2 MB", "3.5 GB", "1 TB"]


def test_stages_alike_differ_in_their_seed():
    assert alike("student a → b sst2 xent seed 3") == alike("student a → b sst2 xent seed 12")
    assert alike("student a → b sst2 xent seed 3") != alike("student a → b boolq xent seed 3")


def estimate(out):
    examples = re.search(r"estimate: ([\d,]+) examples", out)
    expected = re.search(r"expected: (\d+) new stages, about (\S+) (?:s|minutes) one after another \((.*?)\)", out)
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
    (done / "summary.json").write_text(json.dumps({"label": name[1], "seconds": 1800.0}))
    (done / "manifest.json").write_text(json.dumps({"files": {"x": {"size": 7_000_000}}}))
    out = launch(*words)[1]
    assert "1 timed by finished stages like them" in out
    assert "about 30 minutes" in out
