"""A file of labels in the place of the weak model, and hard labels: in graphs, and from the command to the table."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.command import launch, sweep_record
from tests.results_store import Shape, build
from tests.setups import cell, dataset, identify
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.finetune import Probe
from w2s_sweep.config.supervisor import Supervisor
from w2s_sweep.data.labels_file import Said
from w2s_sweep.errors import DataError
from w2s_sweep.methods import METHODS
from w2s_sweep.methods.ensemble import Ensemble
from w2s_sweep.methods.selective import Selective
from w2s_sweep.predictions import read_predictions, write_predictions
from w2s_sweep.results.collect import collect
from w2s_sweep.results.labels import label_all
from w2s_sweep.stages.harden import harden
from w2s_sweep.stages.labels_file import match, require_taught, to_predictions
from w2s_sweep.stages.temper import fit as fit_temperature
from w2s_sweep.stages.temper import temper
from w2s_sweep.store.files import manifest_of, write_json
from w2s_sweep.training.examples import Rows

FILE = Supervisor(labels="gpt4.jsonl")
SIMPLE = [
    name
    for name, cls in METHODS.items()
    if not cls.needs_weak_model and name not in {"bootstrapping", "implicit_conflict"}
]


@pytest.mark.parametrize("name", SIMPLE)
def test_a_file_supervises_every_method_that_does_not_train_the_weak_model_itself(name):
    graph = merge([cell(weak=None, supervisor=FILE, method=METHODS[name](), finetune=Probe())], identify)
    assert graph.stages[graph.roles[0].weak].kind == "labels_file"
    assert "w0" not in " ".join(stage.label for stage in graph.stages.values())


def test_the_path_of_the_file_is_in_no_key_its_content_is():
    def key(labels, sha256):
        def known(source, kind):
            return {"sha256": sha256} if kind == "dataset" else identify(source, kind)

        return merge([cell(weak=None, supervisor=Supervisor(labels=labels))], known).roles[0].student

    assert key("a.jsonl", "1") == key("b.jsonl", "1") != key("a.jsonl", "2")


def test_rows_without_a_label_are_skipped_by_students_alone():
    skip = replace(FILE, missing="skip")
    graph = merge([cell(weak=None, supervisor=skip)], identify)
    found = {role: graph.stages[getattr(graph.roles[0], role)].settings.unlabelled for role in ("student", "ceiling")}
    assert found == {"student": "skip", "ceiling": "refuse"}


def test_hard_labels_are_between_the_supervisor_and_who_learns_from_it_and_never_of_the_truth():
    graph = merge([cell(supervisor=Supervisor(harden=True), method=Selective(), finetune=Probe())], identify)
    hardened = [stage for stage in graph.stages.values() if stage.kind == "harden"]
    assert [graph.stages[stage.inputs["labels"]].kind for stage in hardened] == ["route"]
    assert graph.stages[graph.roles[0].student].inputs["labels"] == hardened[0].key
    bagged = merge([cell(supervisor=Supervisor(harden=True), method=Ensemble())], identify)
    made_of = [bagged.stages[s.inputs["labels"]].kind for s in bagged.stages.values() if s.kind == "harden"]
    assert made_of == ["combine"]


def test_hard_labels_share_ties():
    assert harden(np.array([[0.4, 0.6], [0.5, 0.5]])).tolist() == [[0, 1], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"supervisor": FILE, "weak": None, "method": Ensemble()}, "trains the weak model itself"),
        ({"supervisor": Supervisor(missing="skip")}, "the weak model labels all rows"),
        ({"supervisor": Supervisor(test="labelled")}, "the weak model labels all test rows"),
        ({"supervisor": Supervisor(harden=True, temperature=2)}, "harden and temperature each say how sure"),
        ({"supervisor": FILE, "weak": None, "dataset": replace(dataset(), task="chess_moves")}, "generation task"),
    ],
)
def test_what_does_not_go_together(change, told):
    assert [told in problem for problem in problems_of(cell(**change))] == [True]


def rows(*splits):
    n = len(splits)
    return Rows(
        ids=np.array([f"e{i}" for i in range(n)], dtype=object),
        texts=[f"text {i}" for i in range(n)],
        truth=np.arange(n, dtype=np.int8) % 2,
        splits=np.array(splits),
    )


def said(*names, by="id"):
    probs = np.tile([0.25, 0.75], (len(names), 1))
    return Said([(name,) for name in names], by, probs, np.log(probs), {}, len(names), {})


ALL = ("half_a", "half_b", "half_b", "validation", "test", "test")


def test_test_rows_are_scored_only_where_all_of_them_have_a_label():
    found = said("e1", "e2", "e4", "zz")
    labels, counts = to_predictions(rows(*ALL), found, match(rows(*ALL), found))
    assert labels.ids.tolist() == ["e1", "e2"]
    assert counts["labelled/test"] == 1
    assert "not all test rows" in counts["note"]
    whole = said("text 1", "text 2", "text 4", "text 5", by="text")
    labels, counts = to_predictions(rows(*ALL), whole, match(rows(*ALL), whole))
    assert labels.on("test").ids.tolist() == ["e4", "e5"]
    assert "note" not in counts


def test_missing_rows_of_half_b_are_refused_unless_they_are_to_be_left_out():
    counts = {"labelled/half_b": 1, "of/half_b": 2}
    with pytest.raises(DataError, match=r"1 of 2 rows of half B.*supervisor.missing=skip"):
        require_taught(counts, "refuse")
    require_taught(counts, "skip")
    with pytest.raises(DataError, match="2 of 2 rows of half B"):
        require_taught({"labelled/half_b": 0, "of/half_b": 2}, "skip")


def test_a_file_that_matches_nothing_shows_both_sides():
    with pytest.raises(DataError, match=r"such as 'q9'.*in the examples 'e0'.*w2s data TASK --out"):
        match(rows(*ALL), said("q9"))


def test_some_test_rows_are_enough_where_that_is_asked_for():
    found = said("e1", "e2", "e4")
    labels, counts = to_predictions(rows(*ALL), found, match(rows(*ALL), found), some=True)
    assert labels.on("test").ids.tolist() == ["e4"]
    assert counts["note"] == "All roles are scored on the 1 of 2 test rows that have a label in the file."
    _, counts = to_predictions(rows(*ALL), said("e1"), match(rows(*ALL), said("e1")), some=True)
    assert counts["note"].endswith("no test rows have a label in the file.")


def test_all_roles_are_scored_on_the_test_rows_that_a_file_labels(tmp_path):
    store = build(tmp_path, Shape(n_test=40))
    path = store.sweep("made-up") / "sweep.json"
    record = json.loads(path.read_text())
    key = record["cells"][0]["roles"]["weak"]
    record["stages"][key]["kind"] = "labels_file"
    path.write_text(json.dumps(record))
    whole = read_predictions(store.path(key) / "predictions.parquet")
    some = whole.take(np.argsort(whole.ids)[20:32])  # of these the supervisor, right on the first 24, is right on 4
    write_predictions(store.path(key) / "predictions.parquet", some)
    write_json(store.path(key) / "manifest.json", {"key": key, "files": manifest_of(store.path(key))})
    (row,) = collect(store, "made-up").rows
    assert (row.state, row.n_test) == ("done", 12)
    assert (row.weak.value, row.student.value, row.ceiling.value) == pytest.approx((4 / 12, 8 / 12, 1.0))


def test_a_temperature_changes_how_sure_labels_are_and_is_fitted_to_the_truth():
    probs = np.array([[0.9, 0.1], [0.2, 0.8]])
    np.testing.assert_allclose(temper(probs, 0.5), [[81 / 82, 1 / 82], [4 / 68, 64 / 68]], rtol=1e-6)
    np.testing.assert_allclose(temper(probs, 1.0), probs, rtol=1e-6)
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(4000, 3))
    odds = np.exp(logits)
    truth = np.array([draw.choice(3, p=p) for p in odds / odds.sum(1, keepdims=True)])
    sure = np.exp(2.5 * logits)
    sure /= sure.sum(1, keepdims=True)
    found = fit_temperature(sure, truth)
    assert found == pytest.approx(2.5, rel=0.1)
    losses = [-np.log(temper(sure, t)[np.arange(4000), truth]).mean() for t in (found, 0.98 * found, 1.02 * found)]
    assert losses[0] == min(losses)
    assert fit_temperature(np.array([[0.6, 0.4]]), np.array([0])) == pytest.approx(0.05)


@pytest.mark.parametrize(("how", "temperature"), [({"temperature": 2.0}, 2.0), ({"calibrate": True}, None)])
def test_students_learn_from_tempered_labels_and_the_supervisor_keeps_its_own(how, temperature):
    graph = merge([cell(supervisor=Supervisor(**how), method=Selective(), finetune=Probe())], identify)
    (made,) = (stage for stage in graph.stages.values() if stage.kind == "temper")
    assert made.settings.temperature == temperature
    assert graph.stages[graph.roles[0].student].inputs["labels"] == made.key
    assert graph.stages[graph.roles[0].weak].kind == "probe"
    assert graph.stages[made.inputs["labels"]].kind == "route"


@pytest.mark.slow
def test_a_sweep_supervised_by_a_file(tmp_path, tiny_models, tiny_task, monkeypatch):
    from w2s_sweep.cli import main

    monkeypatch.chdir(tmp_path)
    examples, labels, store = tmp_path / "examples.jsonl", tmp_path / "gpt4.jsonl", tmp_path / "store"
    task = [*tiny_task[1:], "dataset.split_seed=0"]
    assert main(["data", "sst2", *task, "--out", str(examples)]) == 0
    split = [json.loads(line) for line in examples.read_text().splitlines()]
    assert {row["split"] for row in split} == {"half_a", "half_b", "validation", "test"}
    good = {"good", "great", "fine", "superb"}

    def answer(row, number):
        return {"id": row["id"], "probability": 0.9 if bool(good & {*row["text"].split()}) ^ (number % 4 == 0) else 0.2}

    half_b = [row for row in split if row["split"] == "half_b"]
    labels.write_text("".join(json.dumps(answer(row, i)) + "\n" for i, row in enumerate(half_b[5:])))
    argv = [f"store={store}", *tiny_models, *tiny_task, "dataset.split_seed=0", "finetune=probe", "finetune.epochs=3",
            "threads=1", f"supervisor.labels={labels}"]  # fmt: skip
    status, _, err = launch(*argv)
    assert (status, f"5 of {len(half_b)} rows of half B" in err) == (1, True)
    status, out, err = launch("-m", *argv, "supervisor.missing=skip", "supervisor.harden=true,false")
    assert status == 0, err
    assert f"labels for {len(half_b) - 5} of {len(half_b)} half_b, 0 of" in " ".join(out.split())
    assert "gpt4 → tiny-strong" in out
    assert "no value, the file has no labels for test rows" in out
    assert "xent(supervision=hard)" in out
    roles = [entry["roles"] for entry in sweep_record(store)["cells"]]
    made = json.loads((store / "stages" / roles[0]["student"] / "summary.json").read_text())
    assert made["examples"] == len(half_b) - 5
    labels.write_text("".join(json.dumps(answer(row, i)) + "\n" for i, row in enumerate(split)))
    status, out, err = launch(*argv)
    assert status == 0, err
    assert "rows without" not in out
    assert "no value" not in out


def test_hard_labels_are_always_shown_and_names_of_classes_are_no_reason_to_fail():
    labels = label_all([{"name": "xent", "supervision": "hard"}, {"name": "mine", "labels": ["no", "yes"]}])
    assert sorted(labels.values()) == ["mine", "xent(supervision=hard)"]
