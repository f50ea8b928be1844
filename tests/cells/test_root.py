"""`data_root`: hub datasets are read from copies; missing splits are dealt from what is there, said aloud, never hashed
as a path."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.command import launch, sweep_record
from tests.setups import cell, data_settings, dataset
from w2s_sweep.cells.merge import merge
from w2s_sweep.cells.root import from_root
from w2s_sweep.config.source import LocalSource
from w2s_sweep.data.examples import build_examples
from w2s_sweep.data.split import assign
from w2s_sweep.errors import ConfigError
from w2s_sweep.sources import identify

WHOLE = replace(dataset(), name="task", train_split="train", test_split="validation", n_train=40, n_test=10)


def write(folder: Path, **splits: int) -> Path:
    """Rows of SST-2's schema, `split=rows` of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in splits.items():
        rows = [{"sentence": f"{split} {i}", "label": i % 2} for i in range(count)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def moved(root: Path, one=WHOLE):
    (found,), (note,) = from_root([cell(dataset=one)], str(root))
    return found.dataset, note


def sizes(one) -> tuple[int, int]:
    """(training and validation, test) examples that a data stage would make."""
    settings = data_settings(
        task=one.task, train_split=one.train_split, test_split=one.test_split, n_train=one.n_train, n_test=one.n_test
    )
    examples = build_examples(settings, Path(one.source.path))
    parts = assign(examples, one.split(0))
    return int((parts != "test").sum()), int((parts == "test").sum())


def test_a_whole_copy_is_read_as_the_original_would_be(tmp_path):
    write(tmp_path / "task", train=100, validation=50)
    found, note = moved(tmp_path)
    assert found == replace(WHOLE, source=LocalSource(path=str(tmp_path / "task")))
    assert "train 'train', test 'validation'" in note


@pytest.mark.parametrize("there", [{"validation": 100}, {"train": 100}, {"train": 100, "other": 9}])
def test_a_missing_split_is_dealt_from_the_other_in_the_sizes_asked_for_and_said(tmp_path, there):
    write(tmp_path / "task", **there)
    found, note = moved(tmp_path)
    only = next(iter(there))
    missing = "train" if only == "validation" else "validation"
    assert (found.train_split, found.test_split) == (only, None)
    assert sizes(found) == (40, 10)
    assert f"dealt by group from '{only}' (no split '{missing}' in this copy)" in note


def test_a_named_folder_and_a_named_stand_in_are_used(tmp_path):
    write(tmp_path / "glue_task", dev_r2=60)
    one = replace(WHOLE, folder="glue_task", train_split="train_r2", test_split="test_r2", stand_in="dev_r2")
    assert moved(tmp_path, one)[0].train_split == "dev_r2"


def test_splits_that_are_joined_are_found_and_stood_in_for_together(tmp_path):
    rounds = [f"{name}_r{n}" for n in (1, 2) for name in ("train", "test", "dev")]
    one = replace(WHOLE, train_split="train_r1+train_r2", test_split="test_r1+test_r2", stand_in="dev_r1+dev_r2")
    write(tmp_path / "a" / "task", **dict.fromkeys(rounds, 30))
    assert moved(tmp_path / "a", one)[0].train_split == "train_r1+train_r2"
    write(tmp_path / "b" / "task", dev_r1=30, dev_r2=30)
    found, _ = moved(tmp_path / "b", one)
    assert (found.train_split, found.test_split) == ("dev_r1+dev_r2", None)
    assert sizes(found) == (40, 10)
    with pytest.raises(ConfigError, match=r"neither split 'train_r1\+train_r2' nor 'test_r1\+test_r2'"):
        moved(tmp_path / "b", replace(one, stand_in=None))


def test_all_datasets_without_a_copy_or_a_usable_split_are_reported_together(tmp_path):
    write(tmp_path / "task", dev_r1=10)
    cells = [cell(dataset=WHOLE), cell(dataset=replace(WHOLE, name="tasks"))]
    with pytest.raises(ConfigError) as caught:
        from_root(cells, str(tmp_path))
    unusable, absent = caught.value.problems
    assert "neither split 'train' nor 'validation'. Splits found: dev_r1" in unusable
    assert f"no folder {tmp_path / 'tasks'} for dataset tasks. {tmp_path} holds: task." in absent


def test_datasets_that_are_not_on_the_hub_stay_where_they_are(tmp_path):
    local = replace(WHOLE, source=LocalSource(path="rows.jsonl"))
    assert from_root([cell(dataset=local)], str(tmp_path)) == ([cell(dataset=local)], [])


def test_the_path_of_the_root_enters_no_key_and_the_content_does(tmp_path):
    write(tmp_path / "a" / "task", train=100, validation=50)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    write(tmp_path / "c" / "task", train=100, validation=51)

    def keys(root: str) -> set[str]:
        cells, _ = from_root([cell(dataset=WHOLE)], str(tmp_path / root))
        known = lambda source, kind: identify(source, kind) if kind == "dataset" else {"sha256": source.repository}  # noqa: E731
        return set(merge(cells, known).stages)

    assert keys("a") == keys("b")
    assert keys("a").isdisjoint(keys("c"))


@pytest.mark.slow
def test_a_sweep_says_what_it_reads_and_records_it(tmp_path, tiny_models):
    write(tmp_path / "data" / "glue_sst2", validation=200)
    argv = ["dataset=sst2", "dataset.n_train=100", "dataset.n_test=40", "dataset.max_tokens=16", *tiny_models]
    status, out, err = launch(*argv, f"data_root={tmp_path / 'data'}", f"store={tmp_path / 'runs'}")
    assert status == 0, err
    assert "dealt by group from 'validation' (no split 'train' in this copy)" in out
    record = sweep_record(tmp_path / "runs")
    assert record["cells"][0]["cell"]["dataset"]["train_split"] == "validation"
    assert str(tmp_path / "data") not in "".join(
        path.read_text() for path in (tmp_path / "runs" / "stages").glob("*/preimage.json")
    )
