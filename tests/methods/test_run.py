"""Methods from the command line to the table, with probes on tiny models."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import w2s_sweep as w2s
from tests.command import launch, sweep_record, trained
from w2s_sweep.predictions import read_predictions

METHODS = (
    "naive",
    "strong_to_strong",
    "ensemble",
    "confidence_filter",
    "ground_truth_budget",
    "knn_relabel",
    "overlap_selection",
)
"""Every method that needs no parameter and asks no model."""
FAST = ["finetune=probe", "finetune.epochs=3", "threads=1", "tracker=none"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def several(tmp_path_factory, tiny_models, tiny_task):
    """What a sweep over `METHODS` leaves in the store, and prints."""
    store = tmp_path_factory.mktemp("methods") / "store"
    argv = [f"store={store}", *tiny_models, *tiny_task, *FAST, f"method={','.join(METHODS)}"]
    status, out, err = launch("-m", *argv)
    assert status == 0, err
    return store, sweep_record(store), out


def stage_of(store, record, kind):
    """Folder of the first stage of a kind."""
    return next(store / "stages" / key for key, about in record["stages"].items() if about["kind"] == kind)


def stages(store, record, kind):
    """Role -> the predictions of the stage of a kind that plays it."""
    roles = {about["role"]: key for key, about in record["stages"].items() if about["kind"] == kind}
    return {role: read_predictions(store / "stages" / key / "predictions.parquet") for role, key in roles.items()}


def test_all_methods_finish_and_share_supervisor_and_ceiling(several):
    store, record, out = several
    assert f"{len(METHODS)} of {len(METHODS)} cells" in out
    roles = {entry["cell"]["method"]["name"]: entry["roles"] for entry in record["cells"]}
    assert len({r["ceiling"] for r in roles.values()}) == 1
    assert len({r["student"] for r in roles.values()}) == len(METHODS)
    assert {name for name, r in roles.items() if r["weak"] != roles["naive"]["weak"]} == {"ensemble"}
    assert all(key in trained(store) for r in roles.values() for key in r.values())


def test_a_filtered_student_saw_half_of_the_rows(several):
    store, record, _ = several
    roles = {entry["cell"]["method"]["name"]: entry["roles"]["student"] for entry in record["cells"]}
    seen = {
        name: json.loads((store / "stages" / key / "summary.json").read_text())["examples"]
        for name, key in roles.items()
    }
    assert seen["confidence_filter"] == pytest.approx(seen["naive"] / 2, abs=1)
    assert seen["ground_truth_budget"] == seen["knn_relabel"] == seen["naive"]


@pytest.mark.parametrize("kind", ["combine", "filter", "reveal", "relabel", "select"])
def test_labels_are_published_like_predictions_with_a_summary(several, kind):
    store, record, _ = several
    folder = stage_of(store, record, kind)
    predictions = read_predictions(folder / "predictions.parquet")
    assert len(predictions) == json.loads((folder / "summary.json").read_text())["examples"]


def test_a_ceiling_is_the_best_of_several_on_validation_rows_and_tables_say_so(several, tiny_models, tiny_task):
    store, record, _ = several
    argv = [f"store={store}", *tiny_models, *tiny_task, *FAST, "name=tuned", "ceiling.lr=[0.0001,0.03]"]
    status, _, err = launch("-m", *argv)
    assert status == 0, err
    tuned = json.loads((store / "sweeps" / "tuned" / "sweep.json").read_text())
    (entry,) = tuned["cells"]
    assert entry["roles"]["student"] == record["cells"][0]["roles"]["student"]
    folder = store / "stages" / entry["roles"]["ceiling"]
    said = json.loads((folder / "summary.json").read_text())
    values = [said["validation of member 0"], said["validation of member 1"]]
    assert said["picked"] == int(np.argmax(values))
    picked = store / "stages" / said["stage"] / "predictions.parquet"
    assert (folder / "predictions.parquet").read_bytes() == picked.read_bytes()
    assert (folder / "curve.parquet").read_bytes() == picked.with_name("curve.parquet").read_bytes()


def test_further_test_rows_have_tables_of_their_own(several, tiny_models, tiny_task):
    store, record, _ = several
    path = next(line.partition("=")[2] for line in tiny_task if line.startswith("dataset.path"))
    other = Path(shutil.copytree(Path(path).parent, store.parent / "other")) / Path(path).name
    shown = (
        f"{{dataset: sst2, name: other, path: {other}, test_split: null, n_train: null, n_test: null, max_tokens: 32}}"
    )
    argv = [f"store={store}", *tiny_models, *tiny_task, *FAST, "name=shown", f"tests=[{shown}]"]
    status, out, err = launch("-m", *argv)
    assert status == 0, err
    assert "shown on other: 1 of 1 cells finished" in out
    (entry,) = json.loads((store / "sweeps" / "shown" / "sweep.json").read_text())["cells"]
    assert entry["roles"] == record["cells"][0]["roles"]
    (own,), (test,) = (
        w2s.load("shown", store=store).results.rows,
        w2s.load("shown", store=store, test="other").results.rows,
    )
    assert (own.weak, own.student, own.ceiling) == (test.weak, test.student, test.ceiling)  # the same rows, read again
    assert (store / "sweeps" / "shown" / "tests" / "other" / "report.html").is_file()
    status, _, err = launch(*argv[:-1], "tests=[sst3]", "plan_only=true")
    assert status == 1
    assert "tests: unknown name 'sst3'. Did you mean 'sst2'" in err


def test_a_chain_by_file_name_with_changes_runs_and_runs_once(tmp_path, tiny_models, tiny_task):
    store = tmp_path / "store"
    path = next(line.partition("=")[2] for line in tiny_models if line.startswith("strong.path"))
    middle = f"{{path: {path}, name: tiny-middle, keep_layers: 2}}"
    argv = [f"store={store}", *tiny_models, *tiny_task, *FAST, "method=bootstrapping", f"method.chain=[{middle}]"]
    argv.insert(-1, "method.rows=fresh")
    status, out, err = launch(*argv)
    assert status == 0, err
    assert "1 of 1 cells" in out
    (chained,) = sweep_record(store)["cells"][0]["cell"]["method"]["chain"]
    assert (chained["name"], chained["keep_layers"]) == ("tiny-middle", 2)
    assert len(trained(store)) == 4
    made = stages(store, sweep_record(store), "probe")
    learned = {role: frozenset(p.ids[~np.isnan(p.seen).any(1)]) for role, p in made.items()}
    assert learned["student"] == learned["ceiling"]
    assert not learned["student"] & learned["link"]
    assert learned["student"] | learned["link"] == set(made["link"].on("half_b").ids)
    assert abs(len(learned["student"]) - len(learned["link"])) <= 1
    status, out, _ = launch("-m", *argv)
    assert (status, "0 to run" in out) == (0, True)
    status, _, err = launch(*argv[:-1], "method.chain=[smollm2_135mm]", "plan_only=true")
    assert status == 1
    assert "Did you mean 'smollm2_135m'" in err
