"""A ceiling with its own fine-tuning: which stages it adds, which of them it is, and what is refused."""

import math

import numpy as np
import pytest

from tests.setups import cell, identify
from w2s_sweep.cells.checks import problems_of
from w2s_sweep.cells.merge import merge
from w2s_sweep.config.ceiling import Ceiling
from w2s_sweep.config.finetune import Lora, Probe
from w2s_sweep.errors import DataError
from w2s_sweep.methods.bootstrapping import Bootstrapping
from w2s_sweep.methods.prompting import Prompting
from w2s_sweep.predictions import Predictions
from w2s_sweep.stages.pick import best_of

TRIED = Ceiling(lr=(0.001, 0.1), l2=(0.0, 0.1))


def graph_of(**change):
    return merge([cell(finetune=Probe(lr=0.01), **change)], identify)


def test_without_values_the_ceiling_is_trained_as_the_student_is():
    graph = graph_of()
    assert graph.stages[graph.roles[0].ceiling].kind == "probe"
    assert graph_of(ceiling=Ceiling()).roles == graph.roles


def test_the_ceiling_is_picked_from_every_combination_and_nothing_else_changes():
    plain, graph = graph_of(), graph_of(ceiling=TRIED)
    picked = graph.stages[graph.roles[0].ceiling]
    assert picked.kind == "pick"
    recipes = [graph.stages[key].settings.finetune for key in picked.inputs.values()]
    assert [(r.lr, r.l2) for r in recipes] == [(0.001, 0.0), (0.001, 0.1), (0.1, 0.0), (0.1, 0.1)]
    assert len({graph.stages[key].hints.label for key in picked.inputs.values()}) == 4
    assert (graph.roles[0].weak, graph.roles[0].student) == (plain.roles[0].weak, plain.roles[0].student)


def test_one_value_is_no_choice_and_the_cells_own_value_is_no_new_stage():
    graph = graph_of(ceiling=Ceiling(lr=(0.1,)))
    assert graph.stages[graph.roles[0].ceiling].settings.finetune.lr == 0.1
    assert graph_of(ceiling=Ceiling(lr=(0.01,))).roles == graph_of().roles


def test_a_chain_picks_from_ceilings_on_the_rows_of_its_student():
    graph = graph_of(method=Bootstrapping(chain=(cell().strong,), rows="fresh"), ceiling=TRIED)
    picked = graph.stages[graph.roles[0].ceiling]
    student = graph.stages[graph.roles[0].student].settings.portion
    assert {graph.stages[key].settings.portion for key in picked.inputs.values()} == {student}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"finetune": Lora(), "ceiling": TRIED}, "ceiling.l2: finetune=lora has no l2. Set ceiling.l2=[]"),
        ({"method": Prompting(ceiling="prompted"), "ceiling": TRIED}, "method.ceiling=prompted trains none"),
    ],
)
def test_values_that_nothing_would_read_are_refused(change, words):
    assert any(words in problem for problem in problems_of(cell(**({"finetune": Probe()} | change))))


def predictions(right: list[bool], sure: float = 0.8, split: str = "validation") -> Predictions:
    """Made-up predictions: the truth is always class 1."""
    n = len(right)
    given = np.where(right, sure, 1 - sure).astype(np.float32)
    probs = np.stack([1 - given, given], 1)
    texts = np.array([f"{i}" for i in range(n)]), np.array([split] * n)
    seen = np.full((n, 2), math.nan, np.float32)
    return Predictions(*texts, np.ones(n, np.int8), np.log(probs), probs, seen)


def test_the_best_on_validation_rows_is_picked_and_ties_go_to_the_likelier_then_the_first():
    worse, better, surer = (
        predictions([True, False, False]),
        predictions([True, True, False]),
        predictions([True, True, False], sure=0.7),
    )
    assert best_of([worse, better], "accuracy") == (1, pytest.approx([1 / 3, 2 / 3]))
    assert best_of([better, surer, worse], "accuracy")[0] == 1  # less sure of what it has wrong
    assert best_of([better, better, worse], "accuracy")[0] == 0


def test_test_rows_have_no_say_and_no_validation_rows_are_told():
    with pytest.raises(DataError, match="undefined on the validation rows of candidates 0, 1"):
        best_of([predictions([True], split="test"), predictions([False], split="test")], "accuracy")
