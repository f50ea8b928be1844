"""Iterative label refinement: who proposes, who compares, and what is replaced, counted anew in plain Python."""

import numpy as np
import pytest

from tests.once import Once
from tests.setups import cell, identify, model
from tests.stages.test_features_file import images, of_file, write_images
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.finetune import Probe
from w2s_sweep.config.supervisor import Supervisor
from w2s_sweep.errors import DataError
from w2s_sweep.methods.label_refinement import LabelRefinement
from w2s_sweep.predictions import Predictions, read_predictions
from w2s_sweep.stages.held_out import unseen_mean
from w2s_sweep.stages.refine import accept, preference, refine
from w2s_sweep.store.files import read_json

DRAW = np.random.default_rng(0)


def made(probs, split="half_b", seen=()):
    n = len(probs)
    labels = np.full(probs.shape, np.nan, dtype=np.float32)
    labels[list(seen)] = 0.5
    ids, splits = (np.array(values, dtype=object) for values in ([f"{i:03d}" for i in range(n)], [split] * n))
    return Predictions(ids, splits, np.zeros(n, dtype=np.int8), np.log(probs), probs, labels)


def drawn(rows, classes=3):
    return DRAW.dirichlet(np.ones(classes), rows).astype(np.float32)


@pytest.mark.parametrize("most", [0.15, 0.5, 1.0])
@pytest.mark.parametrize("classes", [2, 3])
def test_what_is_replaced_is_what_the_paper_replaces(most, classes):
    weak, own, judge = (drawn(200, classes) for _ in range(3))
    scores = {}
    for row in range(200):  # a proposal that says the same is not compared
        old, new = int(weak[row].argmax()), int(own[row].argmax())
        if old != new:
            scores[row] = float(judge[row, new]) / (float(judge[row, new]) + float(judge[row, old]))
    ordered = sorted(scores.values())
    place = (1 - most) * (len(ordered) - 1)
    low, high = ordered[int(place)], ordered[min(int(place) + 1, len(ordered) - 1)]
    threshold = max(0.5, low + (place - int(place)) * (high - low))
    expected = [row for row, score in scores.items() if score > threshold]
    rows, labels, differing = refine(made(weak), made(own), made(judge), "half_b", most)
    assert (rows.tolist(), differing) == (expected, len(scores))
    np.testing.assert_array_equal(labels, own[expected])
    assert 0 < len(rows) <= most * len(scores) + 1


def test_the_supervisor_itself_would_change_nothing_and_other_splits_keep_their_labels():
    weak, own = made(drawn(50)), made(drawn(50))
    assert not len(refine(weak, own, weak, "half_b", 1.0)[0])
    assert not len(refine(made(weak.probs, "validation"), own, own, "half_b", 1.0)[0])
    assert not len(accept(np.zeros(0), 0.15))
    assert preference(np.array([[0.0, 0.0, 1.0]]), np.array([0]), np.array([1])) == pytest.approx(0.5)


def test_a_row_is_judged_by_the_models_that_did_not_learn_from_it():
    one, two = drawn(4), drawn(4)
    found = unseen_mean([made(one, seen=(0, 1)), made(two, seen=(2,))])
    np.testing.assert_allclose(found, [two[0], two[1], one[2], (one[3].astype(float) + two[3]) / 2])
    with pytest.raises(DataError, match="trained on 1 rows"):
        unseen_mean([made(one, seen=(0,)), made(two, seen=(0, 1))])


def test_each_round_asks_two_models_of_half_the_rows_trained_on_the_labels_of_the_round_before():
    graph = merge([cell(method=LabelRefinement(rounds=2), finetune=Probe())], identify)
    refined = [stage for stage in graph.stages.values() if stage.kind == "refine"]
    student = graph.stages[graph.roles[0].student]
    second, first = graph.stages[student.inputs["labels"]], None
    first = graph.stages[second.inputs["weak"]]
    assert {second.key, first.key} == {stage.key for stage in refined}
    assert first.inputs["weak"] == graph.roles[0].weak
    for stage in (first, second):
        halves = [graph.stages[key] for key in graph.stages[stage.inputs["own"]].inputs.values()]
        assert {half.settings.portion for half in halves} == {(0, 2), (1, 2)}
        assert {half.inputs["labels"] for half in halves} == {stage.inputs["weak"]}
        judge = graph.stages[stage.inputs["knows"]]
        assert (judge.settings.on, judge.settings.portion, "labels" in judge.inputs) == ("half_a", (0, 2), False)
    other = merge([cell(method=LabelRefinement(judge=model("j")), finetune=Probe())], identify).stages.values()
    (judge,) = [
        stage for stage in other if stage.hints.model and stage.hints.model.name == "j" and stage.kind == "probe"
    ]
    assert (judge.settings.on, judge.settings.portion) == ("half_a", None)


def test_a_file_of_labels_has_no_weak_model_that_could_judge():
    one = cell(method=LabelRefinement(), finetune=Probe(), weak=None, supervisor=Supervisor(labels="gpt.jsonl"))
    assert "trains the weak model itself" in " ".join(problems_of(one))


@pytest.fixture(scope="module")
def refined(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refined")
    write_images(folder)
    fields = {"dataset": images(folder), "weak": of_file("weak", folder), "strong": of_file("strong", folder)}
    method = LabelRefinement(rounds=1, max_replace=0.5, judge=of_file("judge", folder))
    return Once(folder, cell(**fields, finetune=Probe(epochs=5), method=method)).ran()


@pytest.mark.slow
def test_labels_are_better_where_a_proposal_replaced_them(refined):
    graph = refined.graph
    stage = graph.stages[graph.stages[graph.roles[0].student].inputs["labels"]]
    summary = read_json(refined.store.path(stage.key) / "summary.json")
    before, after = (
        read_predictions(refined.store.path(key) / "predictions.parquet").on("half_b")
        for key in (stage.inputs["weak"], stage.key)
    )
    place = {name: row for row, name in enumerate(before.ids)}
    kept = before.probs[[place[name] for name in after.ids]]
    changed = kept.argmax(1) != after.probs.argmax(1)
    assert changed.sum() == summary["replaced"] > 0
    assert summary["replaced"] <= 0.5 * summary["differing"] + 1
    assert summary["proposals right where replaced"] > summary["labels right where replaced"]
