"""Methods whose models write: what is sampled, judged and learned."""

import dataclasses

import pytest

from tests.methods.every import graph_of
from tests.setups import cell, dataset, identify, model
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.ceiling import Ceiling
from w2s_sweep.config.finetune import Lora, Probe
from w2s_sweep.methods.critic import Critic
from w2s_sweep.methods.naive import Naive
from w2s_sweep.methods.reasoning import Reasoning


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
    assert graph_of(Critic(critic=model("m0"))).stages.keys() & {read.key, judge.key, roles.student} == set()
    own = [one for one in graph_of(Critic(critic=model("m0"))).stages.values() if one.kind == "critique"]
    assert [one.hints.model.name for one in own] == ["m0"]
    probes = graph_of(Critic(), finetune=Probe())
    (judge,) = [stage for stage in probes.stages.values() if stage.hints.role == "link"]
    assert probes.stages[judge.inputs["features"]].inputs["data"] == judge.inputs["data"]


def test_a_critic_that_cannot_write_is_refused():
    vectors = dataclasses.replace(model("s0"), features="vectors.npz")
    (problem,) = problems_of(cell(method=Critic(), strong=vectors, finetune=Probe()))
    assert "strong writes critiques, and s0 is a file of vectors" in problem
    (problem,) = problems_of(cell(method=Critic(critic=vectors), finetune=Probe()))
    assert "method.critic writes critiques, and s0 is a file of vectors" in problem
    (problem,) = problems_of(cell(method=Critic(max_new_tokens=300)))
    assert "method.max_new_tokens: 300 of dataset.max_tokens=512" in problem


def test_tokens_to_write_where_nothing_is_written_are_refused():
    (problem,) = problems_of(cell(dataset=dataclasses.replace(dataset(), max_new_tokens=40)))
    assert "dataset.max_new_tokens: is set, but task sst2 has no text to write" in problem
    moves = dataclasses.replace(dataset(), task="chess_moves", max_new_tokens=40)
    assert problems_of(cell(dataset=moves)) == []


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
