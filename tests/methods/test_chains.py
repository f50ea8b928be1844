"""Chains, ensembles and conflicts: which stages they have, and what they share with other cells."""

import dataclasses

import pytest

from tests.methods.every import METHODS, graph_of, name_of
from tests.setups import ancestors, cell, dataset, identify, model
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.finetune import Full, Probe
from w2s_sweep.kinds import TRAINED
from w2s_sweep.losses.confidence import Confidence
from w2s_sweep.methods.bootstrapping import Bootstrapping
from w2s_sweep.methods.conflict import Conflict
from w2s_sweep.methods.ensemble import Ensemble
from w2s_sweep.methods.naive import Naive
from w2s_sweep.methods.strong_to_strong import StrongToStrong
from w2s_sweep.methods.weak_ensemble import WeakEnsemble
from w2s_sweep.plan.packs import make_packs


def trail(graph, key):
    """The stages that taught `key`, from the student back: (kind, model, role)."""
    found = []
    while key is not None:
        stage = graph.stages[key]
        found.append((stage.kind, stage.hints.model.name, stage.hints.role))
        key = stage.inputs.get("labels") or stage.inputs.get("member 0")
    return found


def test_bootstrapping_hands_the_labels_along_the_chain():
    graph = graph_of(METHODS[1])
    names = [("s0", "student"), ("m1", "link"), ("m0", "link"), ("w0", "weak")]
    assert [(name, role) for _, name, role in trail(graph, graph.roles[0].student)] == names
    on = [s.settings.on for s in graph.stages.values() if s.kind in TRAINED]
    assert sorted(on) == ["half_a", "half_b", "half_b", "half_b", "half_b"]


def test_with_fresh_rows_every_step_has_a_part_of_its_own_and_the_ceiling_that_of_the_student():
    graph = graph_of(Bootstrapping(chain=(model("m0"), model("m1")), rows="fresh"))
    portions = {s.hints.model.name: s.settings.portion for s in graph.stages.values() if s.hints.role == "link"}
    assert portions == {"m0": (0, 3), "m1": (1, 3)}
    roles = graph.roles[0]
    assert [graph.stages[key].settings.portion for key in roles.keys()] == [None, (2, 3), (2, 3)]  # noqa: SIM118


def test_a_chain_shares_its_first_link_with_the_student_of_a_naive_cell():
    chain = Bootstrapping(chain=(model("s0"),))
    graph = merge([cell(method=chain, strong="s1"), cell(strong="s0")], identify)
    assert graph.roles[1].student == graph.stages[graph.roles[0].student].inputs["labels"]


def test_with_cross_entropy_links_all_losses_share_the_chain():
    shared = Bootstrapping(chain=(model("m0"), model("m1")), link_loss="xent")
    graph = merge([cell(method=shared), cell(method=shared, loss=Confidence())], identify)
    assert [s.hints.role for s in graph.stages.values()].count("link") == 2


def test_self_training_begins_with_the_naive_student():
    graph = graph_of(StrongToStrong(rounds=2))
    assert [role for _, _, role in trail(graph, graph.roles[0].student)] == ["student"] * 3 + ["weak"]
    assert graph_of(Naive()).roles[0].student in graph.stages
    assert set(graph_of(StrongToStrong(rounds=1)).stages) < set(graph.stages)


def test_an_ensemble_is_one_supervisor_of_many_different_ones():
    graph = graph_of(Ensemble(members=4))
    weak = graph.stages[graph.roles[0].weak]
    members = [graph.stages[key] for key in weak.inputs.values()]
    assert weak.kind == "combine"
    assert len({m.key for m in members}) == len({m.inputs["labels"] for m in members}) == 4
    assert {m.settings.on for m in members} == {"half_a"}
    assert {m.settings.unlabelled for m in members} == {"skip"}
    assert len({str(m.settings.split) for m in members}) == 1
    assert graph.stages[graph.roles[0].student].inputs["labels"] == weak.key


def test_without_bagging_an_ensemble_contains_the_naive_supervisor():
    graph = graph_of(Ensemble(members=2, bagging=None))
    assert graph.stages[graph.roles[0].weak].inputs["member 0"] == graph_of(Naive()).roles[0].weak


def test_boosted_members_come_one_after_another_and_predict_the_half_they_are_weighed_on():
    graph = graph_of(Ensemble(members=3, bagging=None, rule="boosted"))
    members = list(graph.stages[graph.roles[0].weak].inputs.values())
    assert [list(graph.stages[m].settings.also_predict) for m in members] == [["half_a"]] * 3
    weighing = [graph.stages[m].inputs.get("weights") for m in members]
    assert weighing[0] is None
    assert [list(graph.stages[w].inputs.values()) for w in weighing[1:]] == [members[:1], members[:2]]
    larger = graph_of(Ensemble(members=4, bagging=None, rule="boosted"))
    assert set(members) < set(larger.stages), "a larger ensemble goes on where a smaller one ended"


def test_all_rules_but_boosting_share_their_members():
    rules = ("mean", "vote", "learned")
    graphs = [graph_of(Ensemble(rule=rule)) for rule in rules]
    assert len({tuple(g.stages[g.roles[0].weak].inputs.values()) for g in graphs}) == 1
    assert len({g.roles[0].weak for g in graphs}) == len(rules)


def test_different_weak_models_are_the_supervisors_of_their_naive_cells():
    graph = graph_of(WeakEnsemble(others=(model("m0"),)))
    naive = [graph_of(Naive(), weak=name).roles[0].weak for name in ("w0", "m0")]
    assert list(graph.stages[graph.roles[0].weak].inputs.values()) == naive


@pytest.mark.parametrize("kind", ["explicit", "implicit", "opposite"])
def test_no_conflict_is_the_naive_student_which_every_conflict_is_compared_with(kind):
    naive = graph_of(Naive()).roles[0].student
    mix = dataset("other") if kind == "implicit" else None
    without, with_it = (graph_of(Conflict(kind=kind, strength=s, mix=mix)).roles[0] for s in (0.0, 0.3))
    assert without.student == without.reference == with_it.reference == naive
    assert with_it.student != naive
    assert naive in with_it.keys()  # noqa: SIM118 - not a dict


@pytest.mark.parametrize("finetune", [Probe(), Full()], ids=name_of)
def test_only_the_student_sees_the_other_dataset_which_is_cut_like_its_own(finetune):
    short = dataclasses.replace(dataset(), max_tokens=32)
    method = Conflict(kind="implicit", strength=1.0, mix=dataset("other"))
    graph = graph_of(method, finetune=finetune, dataset=short)
    (roles,) = graph.roles
    student = graph.stages[roles.student]
    assert graph.stages[student.inputs["mixed"]].settings.source["repository"] == "owner/other"
    used = ancestors(graph, {roles.weak, roles.ceiling, roles.reference})
    assert student.inputs["mixed"] not in used
    features = [s for s in graph.stages.values() if s.kind == "features"]
    assert {s.settings.max_tokens for s in features} <= {32}
    assert len({s.inputs["data"] for s in features}) == (2 if isinstance(finetune, Probe) else 0)
    half = graph_of(dataclasses.replace(method, strength=0.5), finetune=finetune, dataset=short)
    assert half.stages[half.roles[0].student].cost.examples < student.cost.examples or isinstance(finetune, Probe)


def test_what_cannot_be_mixed_in_is_refused_with_one_error():
    pairs = dataclasses.replace(dataset("other"), task="hh_rlhf")
    for method, what in (
        (Conflict(kind="implicit"), "method.mix: kind=implicit"),
        (Conflict(mix=dataset("other")), "method.kind=explicit mixes nothing in"),
        (Conflict(kind="implicit", mix=dataset()), "the dataset of the cell"),
        (Conflict(kind="implicit", mix=pairs), "one head learns both"),
        (Conflict(kind="implicit", mix=dataclasses.replace(dataset("other"), task="nope")), "method.mix.task"),
    ):
        (problem,) = problems_of(cell(method=method))
        assert what in problem
    assert problems_of(cell(method=Conflict(kind="implicit", mix=dataset("other")))) == []


def test_ensembles_of_neighbouring_seeds_share_nobody():
    fixed = dataclasses.replace(cell().dataset, split_seed=0)
    graphs = [merge([cell(method=Ensemble(bagging=None), seed=s, dataset=fixed)], identify) for s in (0, 1, 2)]
    members = [set(g.stages[g.roles[0].weak].inputs.values()) for g in graphs]
    assert len(set.union(*members)) == 15


def test_a_bagged_ensemble_of_probes_is_one_process():
    graph = graph_of(Ensemble(), finetune=Probe())
    packs = make_packs(graph, graph.stages, 1e18)
    weak = [pack for pack in packs if graph.roles[0].weak in pack.keys]
    assert len(weak[0].stages) == 1 + 5 + 5 + 1  # features, draws, supervisors, their mean
    assert len(packs) <= 4
