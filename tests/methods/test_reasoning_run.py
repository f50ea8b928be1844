"""Reasoning from end to end: a student that learns what samples of its supervisor agree on, on a task that tiny models
can learn, with votes and another model's opinion."""

import json
import random
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.again import planned
from tests.command import launch, sweep_record, trained
from tests.tiny import WORDS, tiny_llama
from w2s_sweep.cli import main as w2s
from w2s_sweep.plan.stage import digest
from w2s_sweep.predictions import SAMPLES, TEXTS, read_predictions
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """What is to be written is the noun before the last word; the supervisor is too narrow to learn it whole."""
    folder = tmp_path_factory.mktemp("reasoning")
    draw, rows = random.Random(0), dict[str, str]()
    while len(rows) < 600:
        noun = draw.choice(WORDS[10:18])
        rows[" ".join(draw.choices(WORDS[:10], k=draw.randint(2, 4))) + f" {noun} is"] = noun
    lines = (json.dumps({"ctx": text, "target": noun}) + "\n" for text, noun in rows.items())
    (folder / "rows.jsonl").write_text("".join(lines))
    argv = [
        f"store={folder / 'store'}", "threads=1", "tracker=none", "keep_weights=true",
        f"weak.path={tiny_llama(folder / 'weak', layers=2, hidden=8, seed=1)}", "weak.name=w",
        f"strong.path={tiny_llama(folder / 'strong', layers=2, hidden=32, seed=2)}", "strong.name=s",
        "dataset=chess_moves", f"dataset.path={folder / 'rows.jsonl'}", "dataset.n_train=null", "dataset.test=0.25",
        "dataset.validation=0.1", "dataset.max_tokens=24", "finetune=full", "finetune.lr=0.01",
        "finetune.epochs=12", "method=reasoning", "method.samples=4", "method.own=true", "method.vote=3",
    ]  # fmt: skip
    status, out, err = launch(*argv)
    assert status == 0, err
    return SimpleNamespace(store=Store(folder / "store"), argv=argv, out=out, record=sweep_record(folder / "store"))


def only(toy, kind, label=""):
    """The one stage of a kind whose label begins so."""
    stages = toy.record["stages"]
    (key,) = [key for key, one in stages.items() if one["kind"] == kind and label in one["label"]]
    return toy.store.path(key)


def test_what_is_kept_is_what_samples_agree_on_and_a_first_student_answers_too(toy):
    agreed = only(toy, "agree")
    stage = planned(toy.store, agreed.name)
    drawn = toy.store.path(stage.inputs["labels"])
    kept = read_predictions(agreed / "predictions.parquet").on("half_b")
    greedy = read_predictions(toy.store.path(planned(toy.store, drawn.name).inputs["trained"]) / "predictions.parquet")
    of_all = greedy.on("half_b")
    assert 0 < len(kept) < len(of_all)
    assert {*kept.ids} < {*of_all.ids}
    table = pq.read_table(drawn / SAMPLES).to_pylist()
    answers = {}
    for row in table:
        assert row["answer"] == row["text"].strip()
        answers.setdefault(row["id"], []).append(row["answer"])
    assert {len(found) for found in answers.values()} == {4}
    texts = dict(zip(*(pq.read_table(agreed / TEXTS)[name].to_pylist() for name in ("id", "text")), strict=True))
    own = pq.read_table(toy.store.path(stage.inputs["own"]) / TEXTS).to_pylist()
    others = {row["id"]: row["text"].strip() for row in own}
    for name in kept.ids:
        answer = texts[name].strip()
        assert answers[name].count(answer) >= 2
        assert others[name] == answer


def test_the_student_learns_what_is_kept_alone_and_roles_are_scored_by_votes(toy):
    roles = toy.record["cells"][0]["roles"]
    voted = {role: planned(toy.store, roles[role]) for role in ("weak", "student", "ceiling")}
    assert {stage.kind for stage in voted.values()} == {"sample"}
    student = read_predictions(toy.store.path(voted["student"].inputs["trained"]) / "predictions.parquet")
    kept = read_predictions(only(toy, "agree") / "predictions.parquet").on("half_b")
    assert {*student.ids[~np.isnan(student.seen).any(1)]} == {*kept.ids}
    score = {
        role: read_predictions(toy.store.path(key) / "predictions.parquet").on("test").probs[:, 1].mean()
        for role, key in roles.items()
        if role in voted
    }
    assert score["weak"] + 0.1 < score["ceiling"]
    assert "1 of 1 cells" in toy.out


def test_every_stage_says_of_itself_what_its_key_says(toy):
    keys = list(toy.record["stages"])
    assert [digest(read_json(toy.store.path(key) / "preimage.json")) for key in keys] == keys
    assert w2s(["--store", str(toy.store.root), "verify"]) == 0


def test_again_nothing_is_drawn_and_naive_shares_what_was_trained(toy):
    before = trained(toy.store.root)
    status, out, _ = launch(*toy.argv)
    assert (status, "0 to run" in out) == (0, True)
    plain = [word for word in toy.argv if not word.startswith("method")]
    status, out, _ = launch(*plain, "method=naive")
    assert (status, "0 to run" in out) == (0, True), out
    assert trained(toy.store.root) == before


def test_a_second_stage_prefers_agreed_answers_to_those_of_the_supervisor_that_end_elsewhere(toy):
    status, out, err = launch(*toy.argv, "method.preference=true", "method.vote=0", "name=preferring")
    assert status == 0, err
    assert "1 of 1 cells" in out
    student = sweep_record(toy.store.root)["cells"][0]["roles"]["student"]
    stage, folder = planned(toy.store, student), toy.store.path(student)
    pairs = pq.read_table(folder / "pairs.parquet").to_pylist()
    summary = read_json(folder / "summary.json")
    assert 0 < len(pairs) == summary["pairs"] < summary["of"]
    assert all(pair["preferred"].strip() != pair["rejected"].strip() for pair in pairs)
    before, after = (read_json(toy.store.path(key) / "summary.json") for key in (stage.inputs["trained"], student))
    assert after["accuracy/test"] > before["accuracy/test"] - 0.15
    losses = [row["loss"] for row in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())]
    assert losses[0] == pytest.approx(np.log(2), abs=1e-3)
    assert min(losses) < losses[0]
    assert digest(read_json(folder / "preimage.json")) == student


def test_weights_that_were_not_kept_are_told_at_submission(toy):
    status, _, err = launch(*(word for word in toy.argv if word != "keep_weights=true"), "plan_only=true")
    assert status == 1
    assert "keep_weights: finetune=full keeps no weights that method=reasoning could show further rows to" in err
