"""Settings against the baseline: the right pairs, the right tests, corrected together."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.results_store import LOSSES, NAME, Shape, build, made_up, put_stage
from w2s_sweep.metrics import accuracy, auroc, holm
from w2s_sweep.results.collect import collect
from w2s_sweep.results.compare import baseline
from w2s_sweep.results.tables.lines import method
from w2s_sweep.results.tables.written import as_markdown
from w2s_sweep.store.files import write_json

TASKS = ("sciq", "boolq", "wic")


def sweep(root, shape: Shape, gain: float = 0.15, loss: str = "confidence", task: str = "") -> Any:
    """A made-up sweep whose students of one loss are right on `gain` more of the test rows, in one task or all."""
    store = build(root, shape)
    for row in collect(store, NAME).rows:
        if row.state == "done" and row.loss.startswith(loss) and row.dataset.startswith(task):
            truth = np.random.default_rng(row.seed).integers(0, 2, shape.n_test)
            store.quarantine(row.student_key)
            better = made_up(truth, np.arange(shape.n_test) < round((shape.share[1] + gain) * shape.n_test))
            put_stage(store, row.student_key, "better", better)
    return store


@pytest.mark.parametrize(("seeds", "name", "units"), [((0,), "these models", 100), ((0, 1), "seeds and examples", 2)])
def test_equal_students_do_not_differ_whatever_the_order_of_the_losses(tmp_path, seeds, name, units):
    found = collect(build(tmp_path, Shape(losses=LOSSES[::-1], seeds=seeds)), NAME).comparisons
    assert [(c.first.loss, c.second.loss, c.pairs) for c in found] == [
        ("xent", "confidence(alpha_max=.5)", len(seeds)),
        ("xent", "confidence(alpha_max=.75)", len(seeds)),
    ]
    for c in found:
        assert (c.difference.value, c.difference.low, c.difference.high) == (0, 0, 0)
        assert (c.test.name, c.test.units, c.test.p, c.test.corrected) == (name, units, 1, 1)


@pytest.mark.slow
def test_a_better_student_is_found_over_seeds_and_examples_together(tmp_path):
    (found,) = collect(sweep(tmp_path, Shape(losses=LOSSES[:2], seeds=(0, 1, 2))), NAME).comparisons
    assert found.difference.value == pytest.approx(0.15)
    assert (found.better, found.pairs, found.over) == (3, 3, "seeds and test examples")
    # The made-up test sets of all seeds have the same ids, and the same 15 of the 100 change: 100 observations.
    error = np.sqrt(0.15 * 0.85 / 99)
    assert found.difference.high - found.difference.low == pytest.approx(2 * 1.984 * error, rel=0.01)
    assert found.test.p < 0.001


@pytest.mark.slow
def test_over_tasks_the_task_is_the_unit_and_the_smallest_p_is_said(tmp_path):
    shape = Shape(losses=LOSSES, seeds=(0, 1), datasets=TASKS)
    results = collect(sweep(tmp_path, shape, loss="confidence(alpha_max=.75)"), NAME)
    joint, single = results.over_tasks, results.task_by_task
    assert [(c.loss, c.tasks, c.pairs, c.dataset, c.over) for c in joint] == [
        ("confidence(alpha_max=.75)", 3, 6, "all 3 tasks", "tasks"),
        ("confidence(alpha_max=.5)", 3, 6, "all 3 tasks", "tasks"),
    ]
    assert len(single) == 2 * len(TASKS)
    assert (joint[0].test.name, joint[0].test.units, joint[0].test.p, joint[0].test.smallest) == (
        "sign flips", 3, 0.25, 0.25
    )  # fmt: skip
    assert "3 tasks can give no p below .250" in method(results, joint)
    for family in (joint, single):
        corrected = holm({i: c.test.p for i, c in enumerate(family)})
        assert [c.test.corrected for c in family] == list(corrected.values())


@pytest.mark.slow
def test_a_task_counts_once_however_many_seeds_it_has(tmp_path):
    missing = [f"student w14 s410 boolq {number} 1" for number in (0, 1)]
    shape = Shape(losses=LOSSES[:2], seeds=(0, 1), datasets=TASKS[:2], missing=missing)
    (found,) = collect(sweep(tmp_path, shape, 0.3, task="sciq"), NAME).over_tasks
    assert (found.pairs, found.better, found.test.units, found.test.p) == (3, 1, 2, 1)
    assert found.difference.value == pytest.approx(0.15)


def test_a_single_seed_is_compared_as_these_models_and_said_so(tmp_path):
    results = collect(sweep(tmp_path, Shape(losses=LOSSES[:2], metric="auroc")), NAME)
    (found,) = results.comparisons
    assert (found.test.name, found.over) == ("these models", "test examples of this trained model")
    assert found.test.p < 0.01
    assert found.difference.low > 0
    assert "of these trained models; other runs may differ by more" in method(results, results.comparisons)


def test_students_with_other_test_examples_are_not_paired(tmp_path):
    store = build(tmp_path, Shape(losses=LOSSES[:2]))
    first, second = collect(store, NAME).rows
    for key in (second.weak_key, second.student_key, second.ceiling_key):
        if key != first.student_key:
            store.quarantine(key)
            truth = np.random.default_rng(9).integers(0, 2, 90)
            put_stage(store, key, "fewer", made_up(truth, truth == truth))
    assert collect(store, NAME).comparisons == ()


def test_the_baseline_is_naive_cross_entropy_where_there_is_one():
    naive, other = ("xent", "naive", "lora"), ("xent", "bootstrapping", "lora")
    assert baseline([other, ("confidence", "naive", "lora"), naive]) == naive
    assert baseline([("confidence", "naive", "lora"), other]) == other
    assert baseline([("gce(q=.7)", "naive", "probe"), ("gce(q=.3)", "naive", "probe")])[0] == "gce(q=.7)"


@pytest.mark.slow
def test_one_student_under_two_names_is_one_comparison(tmp_path):
    """As under prompting, which trains with no loss."""
    store = sweep(tmp_path, Shape(losses=LOSSES, seeds=(0, 1, 2, 3, 4, 5)))
    apart = collect(store, NAME).comparisons
    record = store.read_sweep(NAME)
    cells = record["cells"]
    for first, second in zip(cells[1 :: len(LOSSES)], cells[2 :: len(LOSSES)], strict=True):
        second["roles"] = first["roles"]
    write_json(store.sweep(NAME) / "sweep.json", record)
    same = collect(store, NAME)
    found = same.comparisons
    assert found[0].students == found[1].students
    assert found[0].test.corrected == found[1].test.corrected == pytest.approx(found[0].test.p)
    assert apart[0].test.corrected == pytest.approx(2 * apart[0].test.p)
    assert "nothing to correct" in method(same, found)


@pytest.mark.slow
def test_other_metrics_and_other_seeds_of_a_student_are_comparisons_of_their_own(tmp_path):
    """They share the students of their first pair, and not their p-values."""
    store = sweep(tmp_path, Shape(losses=LOSSES, seeds=(0, 1, 2)))
    record = store.read_sweep(NAME)
    cells = record["cells"]
    cells[2]["roles"] = cells[1]["roles"]  # the first seed alone
    write_json(store.sweep(NAME) / "sweep.json", record)
    found = collect(store, NAME).comparisons
    assert found[0].students[:3] == found[1].students[:3]
    assert found[0].students != found[1].students
    assert all(c.test.corrected >= c.test.p for c in found)
    assert "Holm over the 2" in method(collect(store, NAME), found)


def test_the_method_is_said_with_the_number_of_comparisons(tmp_path):
    results = collect(build(tmp_path, Shape(losses=LOSSES, seeds=(0, 1, 2))), NAME)
    said = method(results, results.comparisons)
    for part in ("minus that of xent", "seeds and groups of test examples together", "Holm over the 2"):
        assert part in said
    assert said in as_markdown(results)
    assert "difference [95 % over seeds and test examples]" in as_markdown(results)


@pytest.mark.slow
def test_scores_that_are_compared_are_those_of_the_rows(tmp_path):
    shape = Shape(losses=LOSSES[:2], seeds=(0, 1))
    for metric, score in (("accuracy", accuracy), ("auroc", auroc)):
        store = sweep(tmp_path / metric, replace(shape, metric=metric))
        results = collect(store, NAME)
        (found,) = results.comparisons
        by_loss = {row.loss: [r.student.value for r in results.rows if r.loss == row.loss] for row in results.rows}
        expected = np.mean(by_loss["confidence"]) - np.mean(by_loss["xent"])
        assert found.difference.value == pytest.approx(expected)
        assert score.__name__ == found.first.metric
