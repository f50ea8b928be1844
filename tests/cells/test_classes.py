"""What tasks of more than two classes are refused before anything runs, each by name, and what is not."""

from dataclasses import replace

import pytest

from tests.setups import cell, dataset, identify
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.finetune import Full, Probe
from w2s_sweep.config.prompt import Prompt
from w2s_sweep.losses import LOSSES
from w2s_sweep.methods import METHODS
from w2s_sweep.methods.ccs import Ccs
from w2s_sweep.methods.conflict import Conflict
from w2s_sweep.methods.elicitation import Elicitation
from w2s_sweep.methods.icm import Icm, IcmFeatures
from w2s_sweep.methods.mean_difference import MeanDifference
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.methods.selective import Selective

WORDS = (" anger", " joy", " hope", " grief")
FOUR = replace(dataset("four"), task="tweet_eval_emotion", prompt=Prompt(words=WORDS))
OWN = replace(dataset("own"), task="text_label", labels=("a", "b", "c"))
TWO = dataset("two")


@pytest.mark.parametrize("method", [Ccs(), Icm(rows=8), IcmFeatures(), Selective()], ids=lambda one: one.name)
def test_a_method_for_two_classes_is_refused_and_says_why(method):
    (problem,) = problems_of(cell(dataset=FOUR, method=method))
    assert f"method: {method.name}, but four has 4 classes, and the method exists for two: " in problem
    assert method.two_classes in problem
    assert "naive" in problem.partition("Use ")[2]
    assert method.name not in problem.partition("Use ")[2].rstrip(".").split(", ")
    assert problems_of(cell(method=method)) == []


@pytest.mark.parametrize("task", ["text_label", "jsonl_triplet"])
def test_whole_questions_need_all_of_their_answers(task):
    one = replace(TWO, task=task)
    (problem,) = problems_of(cell(dataset=one, metric="question_accuracy"))
    assert "question_accuracy is of whole questions, and dataset.balance=classes leaves answers of two out" in problem
    assert problems_of(cell(dataset=replace(one, balance="none"), metric="question_accuracy")) == []


def test_only_these_methods_need_two_classes():
    assert {name for name, one in METHODS.items() if one.two_classes} == {"ccs", "icm", "icm_features", "selective"}


@pytest.mark.parametrize("method", [Elicitation(), Prompting(shots=8), Conflict(kind="opposite"), MeanDifference()])
def test_other_methods_and_every_loss_of_single_texts_take_four(method):
    assert problems_of(cell(dataset=FOUR, method=method)) == []
    for name, loss in LOSSES.items():
        if name != "wspo":  # regresses rewards of pairs
            assert problems_of(cell(dataset=FOUR, loss=loss())) == [], name


@pytest.mark.parametrize(
    ("words", "told"), [(None, "there are 0"), ((" no", " yes"), "there are 2"), ((*WORDS, " fear"), "there are 5")]
)
def test_a_prompt_needs_a_word_for_each_class(words, told):
    (problem,) = problems_of(cell(dataset=replace(FOUR, prompt=Prompt(words=words)), method=Elicitation()))
    assert "a word for each of 4 classes (anger, joy, optimism, sadness), " + told in problem
    assert "words=[' anger',' joy',' optimism',' sadness']" in problem


def test_words_of_a_model_are_of_two_classes_and_heads_of_more_begin_with_those_of_the_prompt():
    by_words = Full(head_init="label_words")
    (problem, _) = problems_of(cell(dataset=OWN, finetune=by_words))
    assert "own has 3 classes and not as many dataset.prompt.words" in problem
    graph = merge([cell(dataset=FOUR, finetune=by_words), cell(finetune=by_words)], identify)
    students = [graph.stages[roles.student].settings for roles in graph.roles]
    assert [one.finetune.label_words for one in students] == [WORDS, (" no", " yes")]


def test_further_tests_and_rows_that_are_mixed_in_have_as_many_classes():
    three = replace(OWN, test_split="test")
    (problem,) = problems_of(cell(dataset=FOUR, finetune=Probe(), tests=(three,)))
    assert "tests: own has 3 classes, four has 4" in problem
    (problem,) = problems_of(cell(dataset=FOUR, method=Conflict(kind="implicit", mix=TWO)))
    assert "method.mix: two has 2 classes, four has 4" in problem


def test_a_class_has_one_name():
    (problem,) = problems_of(cell(dataset=replace(OWN, labels=("a", "b", "a"))))
    assert "dataset.labels: a, b, a names a class twice" in problem
