"""Settings against the baseline: the right pairs, the right tests, corrected together."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.results_store import LOSSES, NAME, Shape, build, made_up, put_stage
from w2s_sweep.metrics import accuracy, auroc, holm
from w2s_sweep.results.collect import collect
from w2s_sweep.results.compare import baseline
from w2s_sweep.results.tables.files import as_markdown
from w2s_sweep.results.tables.lines import method
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


@pytest.mark.parametrize(("seeds", "over"), [((0,), "examples"), ((0, 1), "seeds")])
def test_equal_students_do_not_differ_whatever_the_order_of_the_losses(tmp_path, seeds, over):
    found = collect(build(tmp_path, Shape(losses=LOSSES[::-1], seeds=seeds)), NAME).comparisons
    assert [(c.first.loss, c.second.loss, c.pairs, c.over) for c in found] == [
        ("xent", "confidence(alpha_max=.5)", len(seeds), over),
        ("xent", "confidence(alpha_max=.75)", len(seeds), over),
    ]
    for c in found:
        assert (c.difference.value, c.difference.low, c.difference.high) == (0, 0, 0)
        assert (c.by_example.p, c.by_example.corrected, c.by_example.pairs) == (1, 1, 100)
        assert (c.by_run is None) == (len(seeds) == 1)


def test_a_better_student_is_found_over_examples_and_three_seeds_alone_cannot_show_it(tmp_path):
    (found,) = collect(sweep(tmp_path, Shape(losses=LOSSES[:2], seeds=(0, 1, 2))), NAME).comparisons
    assert found.difference.value == pytest.approx(0.15)
    assert (found.better, found.pairs) == (3, 3)
    assert (found.by_run.name, found.by_run.p, found.by_run.corrected) == ("sign flips", 0.25, 0.25)
    assert found.by_example.name == "McNemar"
    assert found.by_example.pairs == 100  # the made-up test sets of all seeds have the same ids
    assert found.by_example.p == pytest.approx(2 / 2**15)


def test_all_tasks_together_pair_tasks_and_seeds_and_are_a_family_of_their_own(tmp_path):
    shape = Shape(losses=LOSSES, seeds=(0, 1), datasets=TASKS)
    results = collect(sweep(tmp_path, shape, loss="confidence(alpha_max=.75)"), NAME)
    joint, single = results.over_tasks, results.task_by_task
    assert [(c.loss, c.tasks, c.pairs, c.dataset) for c in joint] == [
        ("confidence(alpha_max=.75)", 3, 6, "all 3 tasks"),
        ("confidence(alpha_max=.5)", 3, 6, "all 3 tasks"),
    ]
    assert len(single) == 2 * len(TASKS)
    assert joint[0].by_run.p == 2 / 2**6
    assert joint[0].by_example.pairs == 300
    assert joint[0].by_example.p == pytest.approx(2 / 2**45, rel=1e-6)
    for family in (joint, single):
        for test in ("by_run", "by_example"):
            corrected = holm({i: getattr(c, test).p for i, c in enumerate(family)})
            assert [getattr(c, test).corrected for c in family] == list(corrected.values())


def test_a_task_counts_once_however_many_seeds_it_has(tmp_path):
    missing = [f"student w14 s410 boolq {number} 1" for number in (0, 1)]
    shape = Shape(losses=LOSSES[:2], seeds=(0, 1), datasets=TASKS[:2], missing=missing)
    (found,) = collect(sweep(tmp_path, shape, 0.3, task="sciq"), NAME).over_tasks
    assert (found.pairs, found.better, found.by_run.pairs) == (3, 1, 3)
    assert found.difference.value == pytest.approx(0.15)


def test_aurocs_are_tested_by_delong_and_a_single_seed_over_examples_only(tmp_path):
    store = sweep(tmp_path, Shape(losses=LOSSES[:2], metric="auroc"))
    (found,) = collect(store, NAME).comparisons
    assert (found.by_run, found.by_example.name) == (None, "DeLong")
    assert found.by_example.p < 0.01
    assert found.difference.low > 0


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
    assert found[0].by_run.corrected == found[1].by_run.corrected == pytest.approx(found[0].by_run.p)
    assert apart[0].by_run.corrected == pytest.approx(2 * apart[0].by_run.p)
    assert "nothing to correct" in method(same, found)


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
    assert all(c.by_example.corrected >= c.by_example.p for c in found)
    assert "Holm over the 2" in method(collect(store, NAME), found)


def test_the_method_is_said_with_the_smallest_p_and_the_number_of_comparisons(tmp_path):
    results = collect(build(tmp_path, Shape(losses=LOSSES, seeds=(0, 1, 2))), NAME)
    said = method(results, results.comparisons)
    for part in ("minus that of xent", "sign flips", "never below .250", "McNemar's exact test", "Holm over the 2"):
        assert part in said
    assert said in as_markdown(results)
    assert "difference [95 % over seeds]" in as_markdown(results)
    many = collect(build(tmp_path / "many", Shape(losses=LOSSES[:2], seeds=range(12), n_test=20)), NAME)
    assert "over seeds; p over examples" in method(many, many.comparisons)
    one = collect(build(tmp_path / "b", Shape(losses=LOSSES[:2])), NAME)
    assert "sign flips" not in method(one, one.comparisons)


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
