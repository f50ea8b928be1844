"""Methods are shapes: which stages, on which rows, with whose labels; and what they share with the naive method."""

import dataclasses

import pytest
import yaml

from tests.setups import cell, dataset, identify, model
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.ceiling import Ceiling
from w2s_sweep.config.finetune import Full, Lora, Probe
from w2s_sweep.kinds import TRAINED
from w2s_sweep.launch.main import CONF
from w2s_sweep.launch.resolve import resolve_all
from w2s_sweep.losses.confidence import Confidence
from w2s_sweep.methods import METHODS as REGISTERED
from w2s_sweep.methods.base import ROLES
from w2s_sweep.methods.bootstrapping import Bootstrapping
from w2s_sweep.methods.ccs import Ccs
from w2s_sweep.methods.confidence_filter import ConfidenceFilter
from w2s_sweep.methods.conflict import Conflict
from w2s_sweep.methods.critic import Critic
from w2s_sweep.methods.elicitation import Elicitation
from w2s_sweep.methods.ensemble import Ensemble
from w2s_sweep.methods.generative import Generative
from w2s_sweep.methods.ground_truth_budget import GroundTruthBudget
from w2s_sweep.methods.icm import Icm, IcmFeatures
from w2s_sweep.methods.knn_relabel import KnnRelabel
from w2s_sweep.methods.label_refinement import LabelRefinement
from w2s_sweep.methods.mean_difference import MeanDifference
from w2s_sweep.methods.naive import Naive
from w2s_sweep.methods.overlap_selection import OverlapSelection
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.methods.reasoning import Reasoning
from w2s_sweep.methods.selective import Selective
from w2s_sweep.methods.strong_to_strong import StrongToStrong
from w2s_sweep.methods.weak_ensemble import WeakEnsemble
from w2s_sweep.plan.packs import affinity, make_packs

METHODS = [
    Naive(),
    Bootstrapping(chain=(model("m0"), model("m1"))),
    ConfidenceFilter(),
    Critic(),
    Elicitation(),
    Icm(),
    IcmFeatures(),
    Conflict(),
    Conflict(kind="opposite", strength=0.2),
    Conflict(kind="implicit", mix=dataset("other")),
    Ensemble(),
    Ensemble(bagging=None, rule="vote"),
    Ensemble(rule="boosted"),
    GroundTruthBudget(),
    KnnRelabel(),
    LabelRefinement(),
    OverlapSelection(),
    Selective(),
    StrongToStrong(rounds=2),
    WeakEnsemble(others=(model("m0"), model("m1"))),
]
KEEPS_THE_SUPERVISOR = [m for m in METHODS if not isinstance(m, Ensemble | WeakEnsemble)]


def name_of(value):
    return value.name


def graph_of(method, **change):
    return merge([cell(method=method, **change)], identify)


def trail(graph, key):
    """The stages that taught `key`, from the student back: (kind, model, role)."""
    found = []
    while key is not None:
        stage = graph.stages[key]
        found.append((stage.kind, stage.hints.model.name, stage.hints.role))
        key = stage.inputs.get("labels") or stage.inputs.get("member 0")
    return found


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
        "max_replace": 0.6, "judge": model("j0"), "strength": 0.7, "others": (model("m2"),),
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
    used = graph.ancestors({roles.weak, roles.ceiling, roles.reference})
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


def test_what_trains_on_a_draw_of_the_truth_stops_early_on_the_truth():
    """A bag says nothing about validation; a student of mixed labels has those of its supervisor there."""
    tuned = Full(early_stopping="weak")
    bagged = graph_of(Ensemble(), finetune=tuned)
    mixed = graph_of(GroundTruthBudget(), finetune=tuned)
    members = bagged.stages[bagged.roles[0].weak].inputs.values()
    assert {bagged.stages[m].settings.early_stopping.against for m in members} == {"truth"}
    assert mixed.stages[mixed.roles[0].student].settings.early_stopping.against == "labels"


def test_ensembles_of_neighbouring_seeds_share_nobody():
    fixed = dataclasses.replace(cell().dataset, split_seed=0)
    graphs = [merge([cell(method=Ensemble(bagging=None), seed=s, dataset=fixed)], identify) for s in (0, 1, 2)]
    members = [set(g.stages[g.roles[0].weak].inputs.values()) for g in graphs]
    assert len(set.union(*members)) == 15


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


def test_a_bagged_ensemble_of_probes_is_one_process():
    graph = graph_of(Ensemble(), finetune=Probe())
    packs = make_packs(graph, graph.stages, 1e18)
    weak = [pack for pack in packs if graph.roles[0].weak in pack.keys]
    assert len(weak[0].stages) == 1 + 5 + 5 + 1  # features, draws, supervisors, their mean
    assert len(packs) <= 4


def test_a_critic_helps_a_judge_whose_labels_the_student_learns():
    naive, graph = graph_of(Naive()), graph_of(Critic())
    (roles,) = graph.roles
    assert (roles.weak, roles.ceiling) == (naive.roles[0].weak, naive.roles[0].ceiling)
    student = graph.stages[roles.student]
    judge = graph.stages[student.inputs["labels"]]
    read = graph.stages[judge.inputs["data"]]
    assert (judge.hints.model.name, judge.settings.on, "labels" in judge.inputs) == ("w0", "half_a", False)
    assert (read.kind, read.hints.model.name) == ("critique", "s0")
    assert student.inputs["data"] == read.inputs["data"]
    probes = graph_of(Critic(), finetune=Probe())
    (judge,) = [stage for stage in probes.stages.values() if stage.hints.role == "link"]
    assert probes.stages[judge.inputs["features"]].inputs["data"] == judge.inputs["data"]


def test_a_critic_that_cannot_write_is_refused():
    vectors = dataclasses.replace(model("s0"), features="vectors.npz")
    (problem,) = problems_of(cell(method=Critic(), strong=vectors, finetune=Probe()))
    assert "strong writes critiques, and s0 is a file of vectors" in problem
    (problem,) = problems_of(cell(method=Critic(max_new_tokens=300)))
    assert "method.max_new_tokens: 300 of dataset.max_tokens=512" in problem


def worked(**changed):
    """A cell of a task whose answers are worked out."""
    return cell(dataset=dataclasses.replace(dataset(), task="worked_answer"), finetune=Lora(), **changed)


def test_reasoning_learns_what_samples_of_the_supervisor_agree_on():
    naive, graph = merge([worked(method=Naive())], identify), merge([worked(method=Reasoning(samples=5))], identify)
    (roles,) = graph.roles
    assert (roles.weak, roles.ceiling) == (naive.roles[0].weak, naive.roles[0].ceiling)
    student = graph.stages[roles.student]
    agreed = graph.stages[student.inputs["labels"]]
    drawn = graph.stages[agreed.inputs["labels"]]
    assert (student.settings.unlabelled, agreed.kind, drawn.kind) == ("skip", "agree", "sample")
    assert drawn.inputs["trained"] == roles.weak
    assert (drawn.settings.count, drawn.settings.splits) == (5, ("half_b", "validation"))
    assert "w0 → s0" in student.label


def test_reasoning_can_ask_a_first_student_too_and_count_votes():
    graph = merge([worked(method=Reasoning(own=True, vote=4))], identify)
    naive = merge([worked(method=Naive())], identify)
    (roles,) = graph.roles
    scored = [graph.stages[key] for key in (roles.weak, roles.student, roles.ceiling)]
    assert {(stage.kind, stage.settings.count, stage.settings.splits) for stage in scored} == {("sample", 4, ("test",))}
    student = graph.stages[scored[1].inputs["trained"]]
    own = graph.stages[graph.stages[student.inputs["labels"]].inputs["own"]]
    assert own.inputs["trained"] == naive.roles[0].student


def test_reasoning_goes_on_with_preferences_of_the_student_over_its_supervisor():
    first = merge([worked(method=Reasoning())], identify)
    graph = merge([worked(method=Reasoning(preference=True, vote=2, beta=0.5))], identify)
    student = graph.stages[graph.stages[graph.roles[0].student].inputs["trained"]]
    assert (student.kind, student.hints.role, student.settings.beta) == ("prefer", "student", 0.5)
    assert "student w0 → s0" in student.label
    assert student.inputs["trained"] == first.roles[0].student
    own, others = (graph.stages[student.inputs[name]] for name in ("own", "labels"))
    assert own.inputs["trained"] == first.roles[0].student
    assert others.inputs["trained"] == first.roles[0].weak
    recipe, before = student.settings.recipe, student.settings.trained.finetune
    assert (recipe.epochs, recipe.lr, recipe.rank) == (1, pytest.approx(before.lr / 10), before.rank)


def test_reasoning_is_refused_where_it_means_nothing():
    (problem,) = problems_of(cell(method=Reasoning()))
    assert "method: reasoning draws texts" in problem
    assert "worked_answer" in problem
    (problem,) = problems_of(worked(method=Reasoning(vote=2), ceiling=Ceiling(lr=(0.1, 0.2))))
    assert "method.vote: 2 samples of one ceiling" in problem
