"""Further test sets: what a trained model says of them is what it said when it was trained, and nothing is trained."""

import dataclasses
import json
import random
import shutil

import numpy as np
import pytest

from tests.once import Once
from tests.setups import cell, dataset, identify
from tests.tiny import WORDS, tiny_llama
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.ceiling import Ceiling
from w2s_sweep.config.dataset import Dataset
from w2s_sweep.config.finetune import Full, Lora, Probe
from w2s_sweep.config.model import Model
from w2s_sweep.config.source import LocalSource
from w2s_sweep.methods.ensemble import Ensemble
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.predictions import read_predictions
from w2s_sweep.store.files import read_json

TUNED = {"lr": 3e-3, "epochs": 1, "batch_size": 8, "precision": "fp32"}
GOOD, BAD = ["good", "great", "fine", "superb"], ["bad", "poor", "dull", "awful"]


def texts(path, pairs: bool, rows: int = 64):
    """Rows whose label, or preference, can be learned from their words."""
    draw = random.Random(0)
    with path.open("w") as file:
        for i in range(rows):
            words = [" ".join(draw.choices(WORDS[:14], k=3) + draw.choices(kind, k=2)) for kind in (GOOD, BAD)]
            one = {"sentence": f"{words[i % 2]} {i}", "label": i % 2}
            two = {"prompt": f" the film {i}", "chosen": words[0], "rejected": words[1]}
            file.write(json.dumps(two if pairs else one) + "\n")
    return path


@pytest.fixture(scope="module", params=[False, True], ids=["texts", "pairs"])
def base(request, tmp_path_factory):
    """A cell with a further test set that has the rows of its own under another path, so that the truth is known."""
    pairs, folder = request.param, tmp_path_factory.mktemp("rows")
    first = texts(folder / "rows.jsonl", pairs)
    (folder / "other").mkdir()
    second = shutil.copy(first, folder / "other" / "rows.jsonl")
    models = [tiny_llama(tmp_path_factory.mktemp(f"m{hidden}"), hidden=hidden, seed=hidden) for hidden in (16, 32)]
    weak, strong = (
        Model(
            name=path.name,
            source=LocalSource(path=str(path)),
            params=10_000,
            layers=2,
            hidden=16,
            lora_targets=("q_proj",),
        )
        for path in models
    )
    task = "preference" if pairs else "sst2"
    own = Dataset(name="own", task=task, source=LocalSource(path=str(first)), max_tokens=24)
    again = dataclasses.replace(own, name="again", source=LocalSource(path=str(second)), test_split=None)
    return cell(dataset=own, weak=weak, strong=strong, tests=(again,))


@pytest.mark.slow
@pytest.mark.parametrize(
    "finetune",
    [Probe(epochs=5), Lora(**TUNED), Full(**TUNED), Lora(**TUNED, reward="implicit")],
    ids=["probe", "lora", "full", "implicit"],
)
def test_the_rows_of_its_own_test_set_are_predicted_as_by_the_trained_stage(tmp_path, base, finetune):
    if not isinstance(finetune, Probe) and finetune.reward == "implicit" and base.dataset.task == "sst2":
        pytest.skip("single texts have no implicit reward")
    once = Once(tmp_path, dataclasses.replace(base, finetune=finetune), keep_weights=True).ran()
    ((name, shown),) = once.graph.roles[0].tests
    assert name == "again"
    for role in ("weak", "student", "ceiling"):
        trained = once.predictions(role).on("test")
        found = read_predictions(once.store.path(getattr(shown, role)) / "predictions.parquet")
        order = {name: row for row, name in enumerate(found.ids)}
        rows = [order[name] for name in trained.ids]
        assert len(rows) == len(found)
        np.testing.assert_allclose(found.probs[rows], trained.probs, atol=2e-6)


@pytest.mark.slow
def test_full_weights_that_were_not_kept_are_told_with_what_to_do(tmp_path, base):
    once = Once(tmp_path, dataclasses.replace(base, finetune=Full(**TUNED)))
    once.run()
    ((_, shown),) = once.graph.roles[0].tests
    failure = read_json(once.store.work(shown.weak) / "failure.json")
    assert "keeps them with keep_weights=true" in failure["error"]


def graph_of(**change):
    return merge([cell(finetune=Probe(), **change)], identify)


def test_no_trained_stage_changes_and_each_role_is_shown_every_test_set():
    plain, graph = graph_of(), graph_of(tests=(dataset("x"), dataset("y")))
    (own,), (with_tests,) = plain.roles, graph.roles
    assert (own.weak, own.student, own.ceiling) == (with_tests.weak, with_tests.student, with_tests.ceiling)
    assert [name for name, _ in with_tests.tests] == ["x", "y"]
    assert {s.kind for key, s in graph.stages.items() if key not in plain.stages} == {"data", "features", "evaluate"}
    assert set(plain.stages) < set(graph.stages)


def test_a_picked_ceiling_and_a_mean_of_supervisors_are_shown_too():
    graph = graph_of(tests=(dataset("x"),), ceiling=Ceiling(lr=(0.1, 0.2)), method=Ensemble(members=2))
    ((_, shown),) = graph.roles[0].tests
    assert graph.stages[shown.ceiling].inputs["trained"] == graph.roles[0].ceiling
    assert graph.stages[shown.weak].kind == "combine"
    members = [graph.stages[key].inputs["trained"] for key in graph.stages[shown.weak].inputs.values()]
    assert members == list(graph.stages[graph.roles[0].weak].inputs.values())


def test_what_cannot_be_shown_is_refused_by_name():
    def problem(**change):
        (found,) = problems_of(cell(finetune=Probe(), **change))
        return found

    own = dataclasses.replace(dataset(), name="same")
    assert "Set its test_split" in problem(tests=(own,))
    assert problems_of(cell(tests=(dataclasses.replace(own, test_split="test"),))) == []
    assert "told apart by name" in problem(tests=(dataset("x"), dataset("x")))
    pair = dataclasses.replace(dataset("x"), task="preference")
    assert "x is a task of kind pair, d of kind classify" in problem(tests=(pair,))
    assert "unknown name 'sst3'" in problem(tests=(dataclasses.replace(pair, task="sst3"),))
    assert "trains no student by a loss" in problem(tests=(dataset("x"),), method=Prompting())
    assert "Set method.rule=mean or vote" in problem(tests=(dataset("x"),), method=Ensemble(rule="boosted"))
