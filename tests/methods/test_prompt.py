"""Methods that ask the strong model: what they share, what they show it, what they refuse, and how they run."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.command import launch, sweep_record
from tests.methods.test_labels import labels
from tests.setups import cell, dataset, identify, model
from w2s_sweep import sources
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.finetune import Full, Probe
from w2s_sweep.config.prompt import Prompt
from w2s_sweep.errors import DataError
from w2s_sweep.launch.examples import composed_cell
from w2s_sweep.launch.slurm.resources import ask_of
from w2s_sweep.launch.slurm.settings import Settings as SlurmSettings
from w2s_sweep.losses.confidence import Confidence
from w2s_sweep.methods.elicitation import Elicitation
from w2s_sweep.methods.icm import Icm, IcmFeatures
from w2s_sweep.methods.naive import Naive
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.methods.selective import Selective
from w2s_sweep.plan.packs import Pack, affinity
from w2s_sweep.predictions import read_predictions
from w2s_sweep.runner import pack as run
from w2s_sweep.runner.context import RunSettings
from w2s_sweep.stages.correct import correctness
from w2s_sweep.stages.route import route
from w2s_sweep.store import Store
from w2s_sweep.training.labels import with_probs


def graph_of(*methods, **change):
    return merge([cell(method=method, **change) for method in methods], identify)


def stages(graph, kind):
    return [stage for stage in graph.stages.values() if stage.kind == kind]


def test_prompted_models_share_supervisor_and_ceiling_with_the_naive_method():
    graph = graph_of(Naive(), Prompting(), Prompting(shots=0), Prompting(ceiling="prompted"))
    naive, few, zero, prompted = graph.roles
    assert {few.weak, zero.weak, prompted.weak} == {naive.weak}
    assert {few.ceiling, zero.ceiling} == {naive.ceiling}
    assert prompted.student == few.student
    assert len({naive.student, few.student, zero.student, prompted.ceiling}) == 4
    asked = [graph.stages[graph.stages[k].inputs["answers"]] for k in (few.student, zero.student, prompted.ceiling)]
    assert [stage.inputs.get("labels") for stage in asked] == [naive.weak, None, None]
    assert [stage.settings.shots for stage in asked] == [8, 0, 8]


def test_zero_shot_answers_are_asked_for_once_whatever_the_seed_method_and_calibration():
    methods = [Prompting(shots=0), Elicitation(), IcmFeatures(calibrate="none"), Selective()]
    graph = merge([cell(method=m, seed=s, loss=Confidence()) for m in methods for s in (0, 1, 2)], identify)
    (asked,) = stages(graph, "prompt")
    assert {"split", "seed"}.isdisjoint(asked.preimage["settings"])


@pytest.mark.parametrize("finetune", [Probe(), Full()], ids=lambda f: f.name)
def test_prompts_run_where_the_model_is_loaded_anyway(finetune):
    graph = graph_of(Selective(), Prompting(), finetune=finetune)
    homes = {affinity(s) for s in graph.stages.values() if s.hints.model and s.hints.model.name == "s0"}
    assert len(homes) == 1
    assert {affinity(s) for s in stages(graph, "prompt")} == homes


def test_shots_cost_little_and_rows_that_are_not_asked_nothing():
    zero, few = (stages(graph_of(Prompting(shots=n)), "prompt")[0].cost for n in (0, 8))
    assert 0 < few.examples < zero.examples
    assert stages(graph_of(Prompting(shots=16)), "prompt")[0].cost.tokens < 2 * few.tokens
    assert all(s.cost.flops == 0 for s in stages(graph_of(Selective()), "calibrate"))


def test_a_prompt_asks_the_cluster_for_a_device_and_calibration_does_not():
    graph = graph_of(Prompting())
    asked, said = (
        ask_of(Pack("p", tuple(stages(graph, kind)), frozenset()), SlurmSettings()) for kind in ("prompt", "calibrate")
    )
    assert (asked.gpus, said.gpus) == (1, 0)


@pytest.mark.parametrize("change", [{"instruction": "i"}, {"question": "q"}, {"words": (" a", " b")}], ids=str)
def test_every_word_of_the_prompt_changes_the_answers_and_nothing_that_is_trained_on_the_truth(change):
    other = dataclasses.replace(dataset(), prompt=Prompt(**change))
    (before,), (after,) = graph_of(Prompting()).roles, graph_of(Prompting(), dataset=other).roles
    assert before.student != after.student
    assert (before.weak, before.ceiling) == (after.weak, after.ceiling)


def test_p_ik_learns_on_half_a_whether_the_strong_model_is_right_and_routes_half_b():
    graph = graph_of(Selective(shots=4), loss=Confidence())
    (roles,), (right,), (route,) = graph.roles, stages(graph, "correct"), stages(graph, "route")
    knows = graph.stages[route.inputs["knows"]]
    assert (knows.settings.on, knows.settings.loss.name) == ("half_a", "xent")
    assert (knows.inputs["labels"], right.settings.on) == (right.key, "half_a")
    assert right.inputs["labels"] == route.inputs["own"]
    assert graph.stages[route.inputs["weak"]].inputs["labels"] == roles.weak
    (asked,) = stages(graph, "prompt")
    assert (asked.settings.on, "labels" in asked.inputs) == ("half_a", False)
    bare = graph_of(Selective(neighbours=0))
    assert stages(bare, "route")[0].inputs["weak"] == bare.roles[0].weak


@pytest.mark.parametrize("how", ["weak", "oracle"])
def test_p_ik_is_stopped_early_by_what_it_learns_and_never_by_the_truth_of_the_task(how):
    graph = graph_of(Selective(), finetune=Full(early_stopping=how))
    (judge,) = (s for s in graph.stages.values() if s.hints.role == "p_ik")
    assert judge.settings.early_stopping.against == "labels"


def test_where_the_judge_is_sure_the_own_label_is_taken_and_the_weak_one_elsewhere():
    weak, own, knows = labels(seed=0), labels(seed=1), labels(seed=2)
    order = np.random.default_rng(0).permutation(60)
    rows, probs = route(own.take(order), weak, knows.take(order[::-1]), "half_b", 0.6)
    sure = (weak.splits == "half_b") & (knows.probs[:, 1] >= 0.6)
    assert 0 < sure.sum() < (weak.splits == "half_b").sum()
    assert np.array_equal(rows, np.flatnonzero(sure))
    assert np.array_equal(probs, own.probs[sure])
    assert len(route(own, weak, knows, "half_b", 0.0)[0]) == (weak.splits == "half_b").sum()
    with pytest.raises(DataError, match="'knows' says nothing of 36 of 36"):
        route(own, weak, labels(seed=2, first="x"), "half_b", 0.5)


def test_being_right_is_a_label_of_its_own():
    said = labels()
    right = correctness(said, "half_b")
    assert set(right.splits) == {"half_b", "validation"}
    right = right.on("half_b")
    assert ((right.probs[:, 1] > 0.5) == (said.on("half_b").probs.argmax(1) == right.truth)).all()
    wrong = with_probs(said, 1 - np.eye(2)[said.truth])
    assert correctness(wrong, "half_b").probs[:, 1].max() < 1e-6


def problems(**change):
    return problems_of(cell(**change))


def test_what_cannot_be_asked_is_refused_with_one_error():
    wordless = dataclasses.replace(model("s0"), label_words=None)
    for method in (Prompting(), Elicitation(), Icm(), IcmFeatures(), Selective()):
        assert problems(method=method) == []
        (problem,) = problems(method=method, dataset=dataclasses.replace(dataset(), task="chess_moves"))
        assert "generated" in problem
        of_pairs = problems(method=method, dataset=dataclasses.replace(dataset(), task="hh_rlhf"))
        assert [("reward of single texts" in problem) for problem in of_pairs] == [True] * isinstance(method, Selective)
        (problem,) = problems_of(dataclasses.replace(cell(method=method), strong=wordless))
        assert "dataset.prompt.words" in problem
        words = dataclasses.replace(dataset(), prompt=Prompt(words=(" no", " yes")))
        assert problems_of(dataclasses.replace(cell(method=method, dataset=words), strong=wordless)) == []
    assert problems(dataset=dataclasses.replace(dataset(), task="hh_rlhf")) == []
    (problem,) = problems(method=Prompting(shots=0, ceiling="prompted"))
    assert "the student itself" in problem
    (problem,) = problems(method=Icm(rows=4, start=8))
    assert "method.start: 8" in problem


FAST = ["finetune=probe", "finetune.epochs=3", "threads=1", "tracker=none", "dataset.prompt.words=[' bad',' good']"]


@pytest.fixture(scope="module")
def several(tmp_path_factory, tiny_models, tiny_task):
    store = tmp_path_factory.mktemp("prompted") / "store"
    words = [*tiny_models, *tiny_task, *FAST, "dataset.prompt.instruction=Films."]  # eight rows have to fit
    status, out, err = launch("-m", f"store={store}", *words, "method=prompting,elicitation,selective")
    assert status == 0, err
    asked, _ = composed_cell([*words, "method=icm_features"])
    more = merge([asked], sources.identify)
    pack = run.Pack(Store(store), list(more.stages.values()), RunSettings(threads=1))
    assert set(run.run_pack(pack, stop=lambda: False).values()) == {"done"}
    return store, out


def made(store, kind):
    found = [p for p in (store / "stages").iterdir() if json.loads((p / "preimage.json").read_text())["kind"] == kind]
    return {path: json.loads((path / "preimage.json").read_text())["settings"] for path in found}


@pytest.mark.slow
def test_methods_that_ask_run_from_the_command_line(several):
    store, out = several
    assert "3 of 3 cells" in out
    assert sorted(s["shots"] for s in made(store, "prompt").values()) == [0, 8]
    cells = {entry["cell"]["method"]["name"]: entry["roles"] for entry in sweep_record(store)["cells"]}
    said = read_predictions(store / "stages" / cells["prompting"]["student"] / "predictions.parquet")
    assert set(said.splits) == {"validation", "test"}
    assert len({roles["ceiling"] for roles in cells.values()}) == 1


@pytest.mark.slow
def test_every_seed_deals_out_the_same_zero_shot_answers(several):
    store, _ = several
    (asked,) = [path for path, settings in made(store, "prompt").items() if not settings["shots"]]
    answers = load_file(asked / "answers.safetensors")
    assert len(answers["logits"]) == 240
    assert (asked / "prompt.txt").read_text().endswith("\nSentiment:")
    soft, hard = (
        next(read_predictions(path / "predictions.parquet") for path, s in made(store, "calibrate").items()
             if s["harden"] is harden and len(read_predictions(path / "predictions.parquet")) == 240)
        for harden in (False, True)
    )  # fmt: skip
    assert np.array_equal(soft.probs.argmax(1), hard.probs.argmax(1))
    outside = soft.splits != "test"
    assert abs((soft.probs[outside, 1] > 0.5).mean() - 0.5) < 0.02
    assert set(soft.splits) == {"half_a", "half_b", "validation", "test"}


@pytest.mark.slow
def test_elicited_labels_are_for_half_b_and_routed_ones_mix_two_labellers(several):
    store, _ = several
    ((elicited, _),) = made(store, "elicit").items()
    said = read_predictions(elicited / "predictions.parquet")
    assert set(said.splits) == {"half_a", "half_b", "validation", "test"}
    assert set(np.round(said.probs[:, 1], 3)) == {0.0, 1.0}
    ((route, _),) = made(store, "route").items()
    summary = json.loads((route / "summary.json").read_text())
    assert 0 <= summary["routed"] <= summary["of"] == len(said.on("half_b"))
