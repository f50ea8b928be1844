"""What holds for every method: its ceiling and supervisor, its parameters, its packs."""

import dataclasses

import pytest
import yaml

from tests.methods.every import METHODS, graph_of, name_of
from tests.setups import cell, dataset, identify, model
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.finetune import Full, Lora, Probe
from w2s_sweep.kinds import TRAINED
from w2s_sweep.launch.main import CONF
from w2s_sweep.launch.resolve import resolve_all
from w2s_sweep.losses.confidence import Confidence
from w2s_sweep.methods import METHODS as REGISTERED
from w2s_sweep.methods.base import ROLES
from w2s_sweep.methods.ccs import Ccs
from w2s_sweep.methods.confidence_filter import ConfidenceFilter
from w2s_sweep.methods.conflict import Conflict
from w2s_sweep.methods.ensemble import Ensemble
from w2s_sweep.methods.generative import Generative
from w2s_sweep.methods.ground_truth_budget import GroundTruthBudget
from w2s_sweep.methods.icm import Icm
from w2s_sweep.methods.knn_relabel import KnnRelabel
from w2s_sweep.methods.mean_difference import MeanDifference
from w2s_sweep.methods.naive import Naive
from w2s_sweep.methods.overlap_selection import OverlapSelection
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.methods.reasoning import Reasoning
from w2s_sweep.methods.weak_ensemble import WeakEnsemble
from w2s_sweep.plan.packs import affinity, make_packs

KEEPS_THE_SUPERVISOR = [m for m in METHODS if not isinstance(m, Ensemble | WeakEnsemble)]


def test_every_method_has_a_file_and_is_tried_here():
    """But for those whose models, or students, are not those of the naive method: they have tests of their own."""
    members = {cls for _, cls in REGISTERED.items()}
    own = {Ccs, Generative, MeanDifference, Prompting, Reasoning}
    assert members - {type(method) for method in METHODS} == own
    named = {yaml.safe_load(path.read_text())["name"] for path in (CONF / "method").glob("*.yaml")}
    assert named == {dataclasses.fields(member)[0].default for member in members}


@pytest.mark.parametrize("method", METHODS, ids=name_of)
@pytest.mark.parametrize("finetune", [Probe(), Lora(), Full()], ids=name_of)
def test_a_method_works_with_every_kind_of_fine_tuning(method, finetune):
    graph = graph_of(method, finetune=finetune, loss=Confidence())
    (roles,) = graph.roles
    trained = {"probe"} if isinstance(finetune, Probe) else {"finetune"}
    assert {s.kind for s in graph.stages.values()} & TRAINED == trained
    assert graph.stages[roles.student].kind in trained
    assert graph.stages[roles.student].settings.loss.name == "confidence"
    assert graph.stages[roles.student].hints.model.name == "s0"
    assert len({roles.weak, roles.student, roles.ceiling}) == 3


def test_a_cluster_can_be_asked_for_the_resources_of_every_role():
    graphs = [graph_of(method, finetune=Full()) for method in METHODS]
    used = {stage.hints.role for graph in graphs for stage in graph.stages.values() if stage.hints.role}
    assert used == {*ROLES}


@pytest.mark.parametrize("method", METHODS, ids=name_of)
def test_the_ceiling_is_that_of_the_naive_method(method):
    assert graph_of(method).roles[0].ceiling == graph_of(Naive()).roles[0].ceiling


@pytest.mark.parametrize("method", KEEPS_THE_SUPERVISOR, ids=name_of)
def test_the_supervisor_is_that_of_the_naive_method(method):
    assert graph_of(method).roles[0].weak == graph_of(Naive()).roles[0].weak


@pytest.mark.parametrize("method", [*KEEPS_THE_SUPERVISOR, Ensemble()], ids=name_of)
def test_the_loss_changes_neither_weak_nor_ceiling_nor_any_label_made_of_the_supervisor(method):
    before, after = graph_of(method), graph_of(method, loss=Confidence())
    assert (before.roles[0].weak, before.roles[0].ceiling) == (after.roles[0].weak, after.roles[0].ceiling)
    assert before.roles[0].student != after.roles[0].student
    assert {k for k, s in before.stages.items() if s.settings.makes_labels} == {
        k for k, s in after.stages.items() if s.settings.makes_labels
    }
    changed = set(after.stages) - set(before.stages)
    assert {after.stages[k].hints.role for k in changed} <= {"student", "link"}


@pytest.mark.parametrize("method", METHODS, ids=name_of)
def test_every_parameter_of_a_method_changes_its_student(method):
    other = {
        "chain": (model("m2"),), "link_loss": "xent", "rows": 99 if isinstance(method, Icm) else "fresh",
        "share": 0.3, "balanced": False, "members": 3, "bagging": 0.7,
        "rule": "vote" if getattr(method, "rule", "") == "mean" else "mean", "choose": "least_sure", "k": 3,
        "weight": 0.9, "rounds": 5, "part": "easy", "calibrate": "none", "harden": False,
        "prior": 0.5, "penalty": 2.0, "alpha": 10.0, "sweeps": 7, "groups": "halves", "shots": 4, "threshold": 0.7,
        "neighbours": 3, "question": " why ?", "max_new_tokens": 9, "start": 4, "steps": 50, "folds": 2,
        "max_replace": 0.6, "judge": model("j0"), "critic": model("j1"), "strength": 0.7, "others": (model("m2"),),
        "mix": dataset("third"),
        "kind": "opposite" if getattr(method, "kind", "") == "explicit" else "explicit",
    }  # fmt: skip
    before = graph_of(method, loss=Confidence()).roles[0].student
    for field in dataclasses.fields(method):
        if field.name != "name":
            if field.name == "mix" and method.mix is None:
                continue  # nothing is mixed in
            changed = dataclasses.replace(method, **{field.name: other[field.name]})
            assert graph_of(changed, loss=Confidence()).roles[0].student != before, field.name


def test_what_trains_on_a_draw_of_the_truth_stops_early_on_the_truth():
    """A bag says nothing about validation; a student of mixed labels has those of its supervisor there."""
    tuned = Full(early_stopping="weak")
    bagged = graph_of(Ensemble(), finetune=tuned)
    mixed = graph_of(GroundTruthBudget(), finetune=tuned)
    members = bagged.stages[bagged.roles[0].weak].inputs.values()
    assert {bagged.stages[m].settings.early_stopping.against for m in members} == {"truth"}
    assert mixed.stages[mixed.roles[0].student].settings.early_stopping.against == "labels"


def test_only_a_filtered_student_may_skip_rows():
    selections = [(ConfidenceFilter(), "skip"), (OverlapSelection(), "skip")]
    for method, wanted in [*selections, (GroundTruthBudget(), "refuse"), (KnnRelabel(), "refuse")]:
        graph = graph_of(method)
        assert graph.stages[graph.roles[0].student].settings.unlabelled == wanted


def test_neighbours_are_found_in_the_features_that_probes_train_on():
    graph = graph_of(KnnRelabel(), finetune=Probe())
    (roles,) = graph.roles
    labels = graph.stages[graph.stages[roles.student].inputs["labels"]]
    assert labels.inputs["features"] == graph.stages[roles.student].inputs["features"]
    assert labels.inputs["labels"] == roles.weak


def test_models_of_a_method_are_resolved_with_the_others(monkeypatch):
    monkeypatch.setattr("w2s_sweep.launch.resolve.identify", identify)
    resolved = resolve_all([cell(method=METHODS[1])])
    assert {source.repository for source, kind in resolved if kind == "model"} == {
        f"owner/{name}" for name in ("w0", "s0", "m0", "m1")
    }
    resolved = resolve_all([cell(method=Conflict(kind="implicit", mix=dataset("other")))])
    assert {source.repository for source, kind in resolved if kind == "dataset"} == {"owner/d", "owner/other"}


@pytest.mark.parametrize("finetune", [Probe(), Full()], ids=name_of)
@pytest.mark.parametrize("flops", [1e30, 1e12, 1.0])
def test_packs_of_all_methods_never_wait_for_a_later_one(finetune, flops):
    cells = [cell(method=m, seed=s, finetune=finetune) for m in METHODS for s in (0, 1)]
    graph = merge(cells, identify)
    packs = make_packs(graph, graph.stages, flops)
    dealt = [key for pack in packs for key in pack.keys]
    assert sorted(dealt) == sorted(graph.stages)
    before: set[str] = set()
    for pack in packs:
        assert pack.waits_for <= before
        assert len({affinity(stage) for stage in pack.stages}) == 1
        place = {key: i for i, key in enumerate(pack.keys)}
        for stage in pack.stages:
            assert all(place.get(key, -1) < place[stage.key] for key in stage.inputs.values())
        before.update(pack.keys)


def test_labels_made_of_one_expensive_stage_cost_no_process_of_their_own():
    graph = graph_of(ConfidenceFilter(), finetune=Full())
    packs = make_packs(graph, graph.stages, 1.0)
    home = {key: pack.name for pack in packs for key in pack.keys}
    (filtered,) = [key for key, stage in graph.stages.items() if stage.kind == "filter"]
    assert home[filtered] == home[graph.roles[0].weak]
    assert len(packs) == 4
