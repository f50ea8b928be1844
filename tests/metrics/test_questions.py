"""Accuracy of questions: their right answer has the highest score, counted anew for each question in plain Python."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.results_store import NAME, Shape, build
from w2s_sweep.arrays import Array
from w2s_sweep.metrics import METRICS, Design, RolePredictions, crossed_interval
from w2s_sweep.metrics.question_accuracy import no_questions, question_scores
from w2s_sweep.predictions import FILE, read_predictions
from w2s_sweep.results.collect import collect
from w2s_sweep.results.tables.further import known_columns
from w2s_sweep.results.tables.lines import remarks
from w2s_sweep.store.files import write_json

METRIC = METRICS["question_accuracy"]


def questions(count: int, seed: int = 0, answers: tuple[int, ...] = (2,)) -> tuple[Array, Array, Array]:
    """(probs, truth, groups) of questions with so many answers in turn, of which one is right, in a random order."""
    rng = np.random.default_rng(seed)
    sizes = [answers[i % len(answers)] for i in range(count)]
    groups = np.repeat([f"q{i}" for i in range(count)], sizes)
    truth = np.concatenate([np.eye(size, dtype=np.int8)[rng.integers(size)] for size in sizes])
    p = 1 / (1 + np.exp(-rng.normal(0.8 * truth - 0.2, 1)))
    order = rng.permutation(len(truth))
    return np.stack([1 - p, p], 1)[order].astype(np.float32), truth[order], groups[order]


def counted(probs: Array, truth: Array, groups: Array) -> float:
    """One question after another: 1 where the right answer alone has the highest score, a share where it ties."""
    found = []
    for name in dict.fromkeys(groups.tolist()):
        said = [(float(p[1]) - float(p[0]), t) for p, t, g in zip(probs, truth, groups, strict=True) if g == name]
        if len(said) > 1 and sum(t for _, t in said) == 1:
            best = [t for score, t in said if score == max(score for score, _ in said)]
            found.append(sum(best) / len(best))
    return sum(found) / len(found)


@pytest.mark.parametrize("answers", [(2,), (2, 4, 3)])
def test_it_is_the_share_of_questions_whose_right_answer_has_the_highest_score(answers):
    probs, truth, groups = questions(60, answers=answers)
    probs[np.isin(groups, ("q0", "q1"))] = 0.5  # ties
    value = METRIC.scores_of(RolePredictions(probs=probs, truth=truth, groups=groups)).mean()
    assert value == pytest.approx(counted(probs, truth, groups))
    assert value != pytest.approx(float((probs.argmax(1) == truth).mean()), abs=0.005)


@pytest.mark.parametrize("answers", [(2,), (2, 4, 3)])
def test_its_spread_over_groups_is_that_of_questions_drawn_again(answers):
    probs, truth, groups = questions(200, answers=answers)
    scores = question_scores(probs, truth, groups)
    interval = crossed_interval(Design.of([groups]).moments(scores[:, None]))
    names = np.unique(groups)
    won = np.array([counted(*(a[groups == name] for a in (probs, truth, groups))) for name in names])
    drawn = np.random.default_rng(1).choice(won, (4000, len(won))).mean(1)
    assert interval.value == pytest.approx(won.mean())
    assert (interval.high - interval.low) / (2 * 1.97) == pytest.approx(drawn.std(), rel=0.06)


def test_an_answer_whose_partner_is_not_there_is_no_question_and_adds_nothing():
    probs, truth, groups = questions(40)
    before = METRIC.scores_of(RolePredictions(probs=probs, truth=truth, groups=groups)).mean()
    more = np.append(probs, [[0.9, 0.1]], 0).astype(np.float32), np.append(truth, 1), np.append(groups, "alone")
    scores = question_scores(*more)
    assert scores.mean() == pytest.approx(before)
    assert scores[-1] == pytest.approx(before)


def test_where_groups_are_no_questions_it_is_undefined_and_says_why():
    probs, truth, groups = questions(40)
    alone = np.array([f"row {i}" for i in range(len(truth))])
    passages = np.array([f"p{int(name[1:]) // 2}" for name in groups])
    three = np.full((len(truth), 3), 1 / 3, dtype=np.float32)
    assert no_questions(probs, truth, alone) == "every example is a group of its own"
    assert no_questions(probs, truth, passages) == "20 of 20 groups have no right answer or more than one"
    assert "3 classes" in no_questions(three, truth, groups)
    assert no_questions(probs[:0], truth[:0], groups[:0]) == "there are no examples"
    assert no_questions(probs, truth, groups) is None
    for names in (alone, passages, None):
        assert METRIC.scores_of(RolePredictions(probs=probs, truth=truth, groups=names)) is None


@pytest.mark.parametrize("answers", [(2,), (4,), (2, 4, 3)])
def test_guessing_an_answer_of_n_is_right_once_in_n_questions(answers):
    probs, truth, groups = questions(60, answers=answers)
    role = RolePredictions(probs=np.full_like(probs, 0.5), truth=truth, groups=groups)  # all tied: each has its share
    assert METRIC.chance_of(role) == pytest.approx(METRIC.scores_of(role).mean())
    assert METRIC.chance_of(role) == pytest.approx(np.mean([1 / n for n in answers]))
    assert METRIC.chance_of(RolePredictions(probs=probs, truth=truth)) == 0.5
    assert METRICS["accuracy"].chance_of(role) == 0.5


def test_chance_is_of_the_questions_where_several_share_a_group():
    probs, truth, names = questions(40, answers=(3,))
    passages = np.array([f"p{int(name[1:]) // 2}" for name in names])
    role = RolePredictions(probs=probs, truth=truth, groups=passages, questions=names)
    assert METRIC.scores_of(role) is not None
    assert METRIC.chance_of(role) == pytest.approx(1 / 3)


def of_questions(root, metric: str, shared: int = 1, **dataset):
    """A store with one cell of questions with two answers, and the question of each test example. `shared`: questions
    of a group."""
    store = build(root, Shape(metric=metric))
    record, (row,) = store.read_sweep(NAME), collect(store, NAME).rows
    record["cells"][0]["cell"]["dataset"] |= dataset
    data, truth = "d" * 20, read_predictions(store.path(row.weak_key) / FILE, "test")
    right, wrong = (truth.ids[truth.truth == label] for label in (1, 0))
    for key in (row.weak_key, row.student_key, row.ceiling_key):
        record["stages"][key]["inputs"] = {"data": data}
    write_json(store.sweep(NAME) / "sweep.json", record)
    with store.attempt(data) as out:
        group = {name: f"q{i}" for ids in (right, wrong) for i, name in enumerate(ids)}
        columns = {"id": list(group), "group": list(group.values())}
        if shared > 1:
            passages = [f"p{int(name[1:]) // shared}" for name in group.values()]
            columns |= {"question": columns["group"], "group": passages}
        pq.write_table(pa.table(columns), out / "examples.parquet")
        write_json(out / "summary.json", {})
        write_json(out / "preimage.json", {})
    return store, group


@pytest.mark.parametrize("shared", [1, 3])
def test_a_cell_of_questions_has_it_beside_the_accuracy_of_answers(tmp_path, shared):
    store, group = of_questions(tmp_path, "question_accuracy", shared)
    (row,) = collect(store, NAME).rows
    assert row.n_groups == -(-len({*group.values()}) // shared)
    assert row.chance == 0.5
    for role in ("weak", "student", "ceiling"):
        said = read_predictions(store.path(getattr(row, f"{role}_key")) / FILE, "test")
        names = np.array([group[name] for name in said.ids])
        assert getattr(row, role).value == pytest.approx(counted(said.probs, said.truth, names))
        assert row.details[f"accuracy/{role}"].value == pytest.approx((said.probs.argmax(1) == said.truth).mean())
    assert row.ratio == pytest.approx((row.student.value - row.weak.value) / (row.ceiling.value - row.weak.value))


@pytest.mark.parametrize("balance", ["classes", "none"])
def test_rows_that_were_balanced_answer_by_answer_have_no_accuracy_of_questions_and_the_report_says_why(
    tmp_path, balance
):
    store, _ = of_questions(tmp_path, "accuracy", task="text_label", balance=balance)
    results = collect(store, NAME)
    left_out, said = balance == "classes", "\n".join(remarks(results))
    for item in (*results.rows, *results.groups):
        for name in ("question_accuracy/student", "pgr/question_accuracy"):
            assert (item.details[name].value is None) == left_out
        assert item.details["accuracy/student"].value is not None
    assert ("no question accuracy, since dataset.balance=classes" in said) == left_out
    assert any(block.title == "question accuracy" for block in known_columns(results.groups)) != left_out


def test_a_cell_without_questions_says_where_they_would_be(tmp_path):
    (row,) = collect(build(tmp_path, Shape(metric="question_accuracy")), NAME).rows
    assert row.pgr.value is None
    assert "grouped by question with one right answer each" in row.unidentified


def test_tasks_that_have_no_answers_are_refused():
    assert METRIC.why_unfit("classify") is None
    assert "kind pair" in METRIC.why_unfit("pair")
