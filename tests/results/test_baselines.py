"""Fixed baselines in a file: read strictly, and students of files and of sweeps are scored against them."""

import json
from collections import Counter

import pytest

from tests.results_store import NAME, Shape, build
from w2s_sweep.cli import main
from w2s_sweep.errors import ConfigError, DataError
from w2s_sweep.metrics.fixed import Runs
from w2s_sweep.results.baselines import read_baselines, read_tasks
from w2s_sweep.results.score_files import parse_request, score_files
from w2s_sweep.store import Store

TASK = {"weak": [0.59, 0.6, 0.61], "ceiling": [0.79, 0.8, 0.81], "methods": {"naive": [0.64, 0.66]}}


def report(store, path, said, *more):
    """Status of the command against a file that says this."""
    return main(["--store", str(store.root), "report", NAME, "--baselines", str(write(path, said)), *more])


def write(path, said):
    path.write_text(json.dumps(said))
    return path


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([0.6], "is no object"),
        ({"weak": [0.6]}, "lacks ceiling"),
        ({**TASK, "cieling": [0.8]}, "Did you mean 'ceiling'"),
        ({**TASK, "weak": []}, "weak: is empty"),
        ({**TASK, "weak": [61.0]}, "Percent are written as shares: 0.61"),
        ({**TASK, "weak": ["0.6"]}, "weak: '0.6' is no number"),
        ({**TASK, "weak": [True]}, "weak: True is no number"),
        ({**TASK, "weak": {"mean": 0.6}}, "Allowed: a list of scores, or mean, error, seeds"),
        ({**TASK, "weak": {"mean": 0.6, "error": 0.1, "seeds": 0}}, "seeds is a count from 1"),
        ({**TASK, "metric": "acuracy"}, "Did you mean 'accuracy'"),
        ({**TASK, "metric": ["accuracy"]}, "unknown name"),
        ({**TASK, "weak": [10**400]}, "is no number"),
        ({**TASK, "weak": {"mean": 0.6, "error": 1e200, "seeds": 5}}, "is no number"),
        ({**TASK, "weak": {"mean": 0.6, "error": 0.1, "seeds": True}}, "seeds is a count from 1"),
        ({**TASK, "weak": {"mean": 0.6, "error": 0.1, "seeds": 10**400}}, "seeds is a count from 1"),
        ({**TASK, "examples": True}, "examples: got True"),
        ({**TASK, "methods": [0.6]}, "methods: got"),
        ({"chat": TASK, "math": TASK}, "is of several tasks: chat, math"),
        ({"other": [0.6]}, "has neither weak nor ceiling"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_allowed(tmp_path, said, told):
    with pytest.raises(DataError, match=r"baselines: .*base\.json") as error:
        read_baselines(write(tmp_path / "base.json", said))
    assert told in str(error.value)


def test_lists_single_scores_and_summaries_are_runs(tmp_path):
    said = {"chat": {"weak": 0.6, "ceiling": {"mean": 0.8, "error": 0.01, "seeds": 5}}}
    found = read_baselines(write(tmp_path / "base.json", said), "chat")
    assert (found.weak, found.ceiling) == (Runs(0.6, 1), Runs(0.8, 5, 0.01))
    with pytest.raises(DataError, match="Did you mean 'chat'"):
        read_baselines(tmp_path / "base.json", "chatt")


def test_students_in_files_are_scored_against_it(tmp_path):
    truth = tmp_path / "truth.jsonl"
    truth.write_text("".join(json.dumps({"id": f"e{i}", "label": i % 2}) + "\n" for i in range(100)))
    words = [f"truth={truth}", f"baselines={write(tmp_path / 'base.json', TASK)}"]
    paths = []
    for right in (68, 70, 72):
        paths.append(tmp_path / f"{right}.jsonl")
        rows = ({"id": f"e{i}", "label": i % 2 if i < right else 1 - i % 2} for i in range(100))
        paths[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = score_files(parse_request([*words, f"student={','.join(map(str, paths))}"]))
    assert "student  3 seeds  .7000 [.6503, .7497]   PGR .50 [" in out
    assert "student - naive: .0500 [" in out
    with pytest.raises(ConfigError, match="weak: its scores are those of the file of baselines"):
        parse_request([*words, f"student={paths[0]}", f"weak={paths[0]}"])
    write(tmp_path / "base.json", TASK | {"examples": 90})
    with pytest.raises(DataError, match="of 90 test examples, 100 are scored"):
        score_files(parse_request([*words, f"student={paths[0]}"]))


def test_the_students_of_a_sweep_are_scored_against_it(tmp_path, capsys):
    store = build(tmp_path / "store", Shape(seeds=(0, 1), n_test=100))
    base = write(tmp_path / "base.json", {"sciq": TASK})
    assert main(["--store", str(store.root), "report", NAME, "--baselines", str(base)]) == 0
    out = capsys.readouterr().out
    assert "sciq: metric accuracy" in out
    assert "xent  2 seeds  .7000 [.7000, .7000]   PGR .50 [" in out
    assert not (store.sweep(NAME) / "table.csv").exists()
    write(tmp_path / "base.json", {"sciq": TASK | {"examples": 50}})
    assert main(["--store", str(store.root), "report", NAME, "--baselines", str(base)]) != 0
    assert "sciq: scores are of 50 test examples" in capsys.readouterr().err


def test_each_stage_of_a_sweep_is_read_once(tmp_path, monkeypatch):
    store, read, contents = build(tmp_path / "store", Shape(seeds=(0, 1))), Counter(), Store.contents

    def count(self, key, *names):
        read[key] += 1
        return contents(self, key, *names)

    monkeypatch.setattr(Store, "contents", count)
    assert report(store, tmp_path / "base.json", {"sciq": TASK}) == 0
    assert read == dict.fromkeys(store.read_sweep(NAME)["stages"], 1)


def test_students_of_different_settings_are_not_pooled_and_other_test_sets_are_told(tmp_path, capsys):
    store = build(tmp_path / "store", Shape(seeds=(0, 1)))
    path = store.sweep(NAME) / "sweep.json"
    record = json.loads(path.read_text())
    for number, entry in enumerate(record["cells"]):
        entry["cell"]["dataset"]["n_train"] = 100 if number < 1 else 5000
    path.write_text(json.dumps(record))
    assert report(store, tmp_path / "base.json", {"sciq": TASK}) == 0
    out = capsys.readouterr().out
    assert [name in out for name in ("xent (dataset.n_train=100) ", "xent (dataset.n_train=5000) ")] == [True, True]
    assert "2 seeds  .7000" not in out
    assert "tested on different examples" in out  # made up for each seed


def test_a_student_that_seeds_share_is_one_run(tmp_path, capsys):
    store = build(tmp_path / "store", Shape(seeds=(0, 1, 2)))
    path = store.sweep(NAME) / "sweep.json"
    record = json.loads(path.read_text())
    for entry in record["cells"]:
        entry["roles"] |= {role: record["cells"][0]["roles"][role] for role in ("weak", "student")}
    path.write_text(json.dumps(record))
    assert report(store, tmp_path / "base.json", {"sciq": TASK}) == 0
    out = capsys.readouterr().out
    assert "xent   1 seed  .7000" in out
    assert "Left out: 2 of 3 cells: their student is that of another seed, and counts once." in out


def test_a_finished_student_counts_whatever_became_of_the_rest(tmp_path, capsys):
    failed = ["ceiling s410 sciq 0", "student w14 s410 sciq 0 1"]
    store = build(tmp_path / "store", Shape(seeds=(0, 1, 2), failed=failed, missing=["student w14 s410 sciq 0 2"]))
    assert report(store, tmp_path / "base.json", {"sciq": TASK}) == 0
    out = capsys.readouterr().out
    assert "xent   1 seed  .7000" in out
    assert "Left out: 1 of 3 cells: no student, W2SError: the loss became nan." in out
    assert "Left out: 1 of 3 cells: the student is not finished." in out
    assert "tested on different" not in out


def test_a_file_without_tasks_is_of_the_only_one(tmp_path, capsys):
    assert report(build(tmp_path / "one", Shape()), tmp_path / "base.json", TASK) == 0
    assert report(build(tmp_path / "two", Shape(datasets=("sciq", "boolq"))), tmp_path / "base.json", TASK) == 1
    assert "names no task, and could be of any (here: sciq, boolq)" in capsys.readouterr().err
    with pytest.raises(DataError, match="names no task"):
        read_tasks(tmp_path / "base.json", ["mnli"], known=False)


def test_a_metric_that_students_do_not_have_is_told(tmp_path, capsys):
    store = build(tmp_path / "store", Shape())
    assert report(store, tmp_path / "base.json", {"sciq": TASK | {"metric": "question_accuracy"}}) == 1
    assert "these students have no question_accuracy. They have accuracy, auroc" in capsys.readouterr().err
