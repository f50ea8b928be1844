"""A second dataset beside the weak labels, from the command line to scores: what it teaches shows on the first one's
test set, for probes, fine-tuning and pairs, and what it lacks is told."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tests.command import launch, sweep_record
from tests.stages.test_pairs_run import TUNED, Once, base, folders, rows  # noqa: F401 - fixtures
from w2s_sweep.config.finetune import Full, Probe
from w2s_sweep.config.source import LocalSource
from w2s_sweep.launch.examples import composed_cell
from w2s_sweep.methods.conflict import Conflict
from w2s_sweep.metrics import accuracy
from w2s_sweep.store.files import read_json

PROBE = ["finetune=probe", "finetune.epochs=3", "threads=1", "tracker=none"]
FULL = ["finetune=full", "finetune.epochs=2", "strong.lr_full=0.01", "weak.lr_full=0.01", "threads=1", "tracker=none"]


@pytest.fixture(scope="module")
def other(tiny_task, tmp_path_factory):
    """Sentences like those of the tiny task, with other ends: kept labels, or opposite ones."""
    path = next(line.partition("=")[2] for line in tiny_task if line.startswith("dataset.path"))
    lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
    folder = tmp_path_factory.mktemp("other")
    for name, turned in (("same", 0), ("opposite", 1)):
        made = [{"sentence": f"{row['sentence']} {name}", "label": row["label"] ^ turned} for row in lines]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    return {name: _named(folder / f"{name}.jsonl", name) for name in ("same", "opposite")}


def _named(path, name):
    return f"{{dataset: sst2, path: {path}, name: {name}, test_split: null, n_train: null, n_test: null}}"


def scored(cell, folder):
    """Accuracy of the conflicted student on the test set, and how often more rows than its reference it learnt from."""
    ran = Once(folder, cell).ran()
    said = ran.predictions("student")
    assert set(said.splits) == {"half_b", "validation", "test"}
    roles = ran.graph.roles[0]
    learnt = [read_json(ran.store.path(key) / "summary.json")["examples"] for key in (roles.student, roles.reference)]
    return accuracy(said.on("test").probs, said.on("test").truth), learnt[0] / learnt[1]


@pytest.mark.slow
@pytest.mark.parametrize("words", [PROBE, FULL], ids=["probe", "full"])
def test_what_the_other_dataset_teaches_shows_on_the_test_set_of_the_first(
    tmp_path, tiny_models, tiny_task, other, words
):
    argv = [*tiny_models, *tiny_task, *words, "method=implicit_conflict"]
    cells = {name: composed_cell([*argv, f"method.mix={mix}"])[0] for name, mix in other.items()}
    right = {name: scored(cell, tmp_path / name) for name, cell in cells.items()}
    assert right["same"][0] > right["opposite"][0] + 0.2
    assert {times for _, times in right.values()} == {2.0}


@pytest.mark.slow
def test_a_second_dataset_from_the_command_line(tmp_path, tiny_models, tiny_task, other):
    argv = [f"store={tmp_path}", *tiny_models, *tiny_task, *PROBE, "method=implicit_conflict"]
    status, out, err = launch(*argv, f"method.mix={other['same']}")
    assert status == 0, err
    assert "1 of 1 cells" in out
    assert sweep_record(tmp_path)["cells"][0]["cell"]["method"]["mix"]["name"] == "same"


@pytest.mark.slow
def test_too_few_rows_and_unknown_names_are_told(tmp_path, tiny_models, tiny_task, other):
    argv = [f"store={tmp_path}", *tiny_models, *tiny_task, *PROBE, "method=implicit_conflict"]
    status, _, err = launch(*argv, "method.mix=sst3")
    assert status == 1
    assert "method.mix: unknown name 'sst3'. Did you mean 'sst2'?" in err
    status, out, err = launch(*argv, f"method.mix={other['same'].replace('n_train: null', 'n_train: 40')}")
    assert status == 1
    assert "of its rows are wanted" in err
    assert "failed" not in out


@pytest.mark.slow
def test_rows_of_the_first_dataset_are_not_mixed_in_with_their_truth(tmp_path, tiny_models, tiny_task):
    """The same sentences in another file: nothing is left to mix in."""
    path = next(Path(line.partition("=")[2]) for line in tiny_task if line.startswith("dataset.path"))
    copy = tmp_path / "copy.jsonl"
    lines = path.read_text().splitlines()
    copy.write_text("\n".join([*lines, '{"sentence": "a new one", "label": 1}', '{"sentence": "and a", "label": 0}']))
    argv = [f"store={tmp_path}", *tiny_models, *tiny_task, *PROBE, "method=implicit_conflict"]
    status, out, err = launch(*argv, f"method.mix={_named(copy, 'copy')}")
    assert status == 1
    assert "that are no rows of dataset" in err
    assert "failed" not in out


@pytest.mark.slow
@pytest.mark.parametrize("finetune", [Probe(epochs=2), Full(**TUNED)], ids=lambda f: f.name)
def test_pairs_are_mixed_with_pairs(tmp_path, base, rows, finetune):  # noqa: F811 - fixtures
    path = tmp_path / "more.jsonl"
    more = [json.loads(line) for line in rows.read_text().splitlines()]
    path.write_text("".join(json.dumps(row | {"prompt": row["prompt"] + " more"}) + "\n" for row in more))
    mix = dataclasses.replace(base.dataset, name="more", source=LocalSource(path=str(path)))
    method = Conflict(kind="implicit", strength=1.0, mix=mix)
    ran = Once(tmp_path, dataclasses.replace(base, method=method, finetune=finetune)).ran()
    student, reference = ran.predictions("student"), ran.predictions("reference")
    assert np.array_equal(student.ids, reference.ids)
    assert not np.allclose(student.logits, reference.logits)


def test_a_command_beside_a_run_reads_the_files_that_a_method_names():
    cell, _ = composed_cell(["method=implicit_conflict", "method.mix=boolq"])
    assert [dataset.name for dataset in cell.method.datasets()] == ["boolq"]
