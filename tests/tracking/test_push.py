"""The W&B mirror against a server that counts rows, with the real client: every curve exactly once, whatever fails."""

from dataclasses import replace

import pytest

from tests.results_store import NAME, Shape, build
from tests.tracking.server import Fault, WandbServer
from w2s_sweep.cli import main as w2s
from w2s_sweep.results.collect import collect
from w2s_sweep.results.outcome import outcome_of
from w2s_sweep.results.report import write_results
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json, write_json
from w2s_sweep.tracking import Sent, make_tracker
from w2s_sweep.tracking.history import Line, history
from w2s_sweep.tracking.wandb.session import run_id, sweep_tag

ONLINE = {"name": "wandb", "project": "p", "entity": None, "mode": "online"}
ROWS = 5
"""Of every curve of the made-up store."""


LONG = "a-sweep-whose-name-is-longer-than-any-tag-that-wandb-takes-" + "x" * 40


def send(store: Store, force: bool = False, name: str = NAME, **settings: object) -> Sent:
    results = collect(store, name)
    tracker = make_tracker(ONLINE | settings, name, store.sweep(name))
    return tracker.send(outcome_of(store, results), force)


def keys(store: Store) -> dict[str, str]:
    """Role -> key, of the first cell."""
    row = collect(store, NAME).rows[0]
    return {"weak": row.weak_key, "student": row.student_key, "ceiling": row.ceiling_key}


def curves(server: WandbServer, store: Store, project: str = "p") -> list[int]:
    """Rows that the server has of supervisor, student and ceiling."""
    runs = [server.runs.get(("me", project, run_id("stage", key))) for key in keys(store).values()]
    return [0 if run is None else len(run.history) for run in runs]


def rename(store: Store, name: str) -> None:
    """Give the sweep another name: the same cells, as another user may have run them."""
    store.sweep(NAME).rename(store.sweep(name))
    record = read_json(store.sweep(name) / "sweep.json")
    write_json(store.sweep(name) / "sweep.json", {**(record or {}), "name": name})


@pytest.mark.slow
def test_every_curve_arrives_once_whoever_sends_it_again(server, tmp_path):
    store, other = build(tmp_path / "first", Shape()), build(tmp_path / "second", Shape())
    assert send(store, alert=True) == Sent(["W&B me/p: 4 runs sent now, 0 there before"])
    asked = server.calls["Run"]
    assert send(store, alert=True) == Sent(["W&B me/p: 0 runs sent now, 4 there before"])
    assert server.calls["Run"] == asked, "what is known to have arrived is not asked for again"
    assert send(store, force=True).complete
    assert server.calls["Run"] == asked + 4
    rename(other, LONG)
    assert send(other, name=LONG).complete
    assert curves(server, store) == [ROWS, ROWS, ROWS]
    assert [alert["title"] for alert in server.alerts] == ["made-up: 1 of 1 cells finished"]
    student = server.run(run_id("stage", keys(store)["student"])).about
    assert student["groupName"] == NAME, "a shared run stays in the group of its first sweep"
    assert student["tags"] == [NAME, "sciq", sweep_tag(LONG)]
    summary = server.run(run_id("sweep", LONG)).about
    assert summary["tags"] == [sweep_tag(LONG)]
    assert len(summary["tags"][0]) == 64
    assert send(store, project="q").complete
    assert curves(server, store, "q") == [ROWS, ROWS, ROWS], "another project lacks what this one has"
    assert send(store, entity="team").lines == ["W&B team/p: 4 runs sent now, 0 there before"]
    team = [len(run.history) for (entity, _, _), run in server.runs.items() if entity == "team"]
    assert sorted(team)[1:] == [ROWS, ROWS, ROWS], "and so does another entity"


@pytest.mark.slow
def test_what_a_run_holds(server, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_TAGS", "night,gpu")
    monkeypatch.setenv("WANDB_NOTES", "first try")
    store = build(tmp_path, Shape())
    write_results(store, collect(store, NAME), store.sweep(NAME))
    assert send(store).complete
    found, runs = keys(store), {role: run_id("stage", key) for role, key in keys(store).items()}
    student, weak = server.run(runs["student"]), server.run(runs["weak"])
    assert student.config.items() >= {
        "weak/name": "w14", "weak/params": 14_000_000, "strong/name": "s410", "method/name": "naive",
        "loss/name": "xent", "finetune/rank": 8, "dataset": "sciq", "seed": 0, "setting": "naive · xent · lora",
        "weak/key": found["weak"], "weak/run": runs["weak"], "ceiling/run": runs["ceiling"], "made-up/cells": "0",
    }.items()  # fmt: skip
    assert not {name for name in weak.config if name.startswith(("strong/", "method/", "loss/"))}
    assert student.summary["pgr"] == pytest.approx(0.5)
    assert student.summary["pgr_low"] < 0.5 < student.summary["pgr_high"]
    assert student.summary.keys() >= {"acc/weak", "acc/student", "acc/ceiling", "acc/student_low", "gap_low"}
    assert [(row["global_step"], row["_step"]) for row in student.rows] == [(i + 1, i) for i in range(ROWS)]
    assert student.about["tags"] == [NAME, "night", "gpu", "sciq"]
    summary = server.run(run_id("sweep", NAME))
    assert summary.about.items() >= {"jobType": "summary", "notes": "first try"}.items()
    assert summary.config.keys() >= {"command", "store", "created", "versions/torch", "versions/python"}
    assert summary.summary["median/pgr"] == pytest.approx(0.5)
    assert summary.rows[-1].keys() >= {"results", "report", "figures/pgr"}


@pytest.mark.slow
def test_a_student_without_pgr_says_why(server, tmp_path):
    store = build(tmp_path, Shape(share=(0.7, 0.7, 0.7)))
    assert send(store).complete
    summary = server.run(run_id("stage", keys(store)["student"])).summary
    assert "pgr_low" not in summary
    assert summary["pgr_unidentified"] == collect(store, NAME).rows[0].unidentified != ""


CURVE = ((0.6, 0.6, 0.7), (0.6, 0.8, 0.8), (0.6, 0.7, 0.9))
"""Of the first half of the test rows: in the end .6 (weak), .7 (student) and .9 (ceiling) of them are right."""
EVALUATED = Shape(n_test=200, share=(0.3, 0.35, 0.45), curve=CURVE)
OF_STUDENT = ROWS + 3 * len(CURVE)
"""Training, then what it scores, how it agrees, what it recovers."""


def column(server: WandbServer, key: str, name: str) -> list[tuple[int, float]]:
    """(optimizer step, value) of every row of a run that has the name."""
    rows = server.run(run_id("stage", key)).rows
    return [(row["global_step"], round(row[name], 9)) for row in rows if name in row]


@pytest.mark.slow
def test_pgr_and_scores_over_steps_are_those_of_the_stages_evaluations(server, tmp_path):
    store = build(tmp_path, EVALUATED)
    assert send(store).complete
    found = keys(store)
    assert curves(server, store) == [ROWS + 3, OF_STUDENT, ROWS + 3]
    assert column(server, found["weak"], "eval/accuracy") == [(10, 0.6), (20, 0.6), (30, 0.6)]
    assert column(server, found["student"], "eval/accuracy") == [(10, 0.6), (20, 0.8), (30, 0.7)]
    assert column(server, found["student"], "eval/student") == [(10, 0.6), (20, 0.8), (30, 0.7)]
    assert column(server, found["student"], "pgr") == [(10, 0.0), (20, round(2 / 3, 9)), (30, round(1 / 3, 9))]
    assert column(server, found["student"], "eval/weak") == [(10, 0.6), (20, 0.6), (30, 0.6)]
    assert column(server, found["student"], "eval/ceiling") == [(10, 0.9), (20, 0.9), (30, 0.9)]
    assert column(server, found["student"], "eval/agreement") == [(10, 1.0), (20, 0.8), (30, 0.9)]
    assert column(server, found["student"], "eval/agreement_supervisor_right") == [(10, 1), (20, 1), (30, 1)]
    assert column(server, found["student"], "eval/agreement_supervisor_wrong") == [(10, 1), (20, 0.5), (30, 0.75)]
    student = server.run(run_id("stage", found["student"]))
    assert student.summary["pgr"] == pytest.approx(1 / 3), "that of the end, on all test rows"
    assert "pgr" not in {name for row in server.run(run_id("sweep", NAME)).rows for name in row}
    assert send(store, force=True) == Sent(["W&B me/p: 0 runs sent now, 4 there before"])
    assert curves(server, store) == [ROWS + 3, OF_STUDENT, ROWS + 3]


@pytest.mark.slow
def test_what_a_student_recovers_is_added_once_its_ceiling_is_there_wherever_a_push_was_killed(server, tmp_path):
    """A server changes no row that it has: what is known later is added behind."""
    early = build(tmp_path / "early", replace(EVALUATED, missing=("ceiling s410 sciq 0",)))
    assert send(early).complete
    found = keys(early)
    student = server.run(run_id("stage", found["student"]))
    assert len(student.rows) == ROWS + 3
    store = build(tmp_path / "late", EVALUATED)
    assert send(store).complete
    whole = [{name: value for name, value in row.items() if name[0] != "_"} for row in student.rows]
    student.history = {line: row for line, row in student.history.items() if line < OF_STUDENT - 4}
    student.summary = {}
    assert send(store, force=True) == Sent(["W&B me/p: 1 runs sent now, 3 there before"])
    assert [{name: value for name, value in row.items() if name[0] != "_"} for row in student.rows] == whole
    assert [row["_step"] for row in student.rows] == list(range(OF_STUDENT))


def test_a_student_of_cells_with_several_ceilings_has_no_pgr_over_steps_and_another_sweep_adds_it(tmp_path):
    store = build(tmp_path, EVALUATED)
    record = store.read_sweep(NAME)
    (cell,) = record["cells"]
    twin = {**cell, "cell": {**cell["cell"], "seed": 1}, "roles": {**cell["roles"], "ceiling": cell["roles"]["weak"]}}
    write_json(store.sweep(NAME) / "sweep.json", {**record, "cells": [cell, twin]})
    write_json(store.sweep("one") / "sweep.json", {**record, "name": "one"})

    def lines(sweep: str) -> list[Line]:
        stages = outcome_of(store, collect(store, sweep)).stages
        return next(history(stage) for stage in stages if stage.key == cell["roles"]["student"])

    several, one = lines(NAME), lines("one")
    assert len(several) == ROWS + 6
    assert not any("pgr" in values for _, values in several)
    assert one[: len(several)] == several
    assert len(one) == OF_STUDENT
    bare = {**twin, "roles": {role: key for role, key in cell["roles"].items() if role != "ceiling"}}
    write_json(store.sweep(NAME) / "sweep.json", {**record, "cells": [bare, cell]})
    assert lines(NAME) == one, "a cell without a ceiling says nothing against that of another"
    write_json(store.sweep(NAME) / "sweep.json", {**record, "cells": [bare]})
    (student,) = (s for s in outcome_of(store, collect(store, NAME)).stages if s.key == cell["roles"]["student"])
    assert student.partners == {"weak": cell["roles"]["weak"]}


FAULTS: dict[str, Fault] = {
    "401": lambda operation, before: 401,
    "500": lambda operation, before: 500,
    "hang": lambda operation, before: "hang",
    "refused stream": lambda operation, before: 403 if operation == "file_stream" else None,
    "hanging stream": lambda operation, before: "hang" if operation == "file_stream" else None,
    "forgotten": lambda operation, before: "lost" if operation == "file_stream" else None,
    "drop": lambda operation, before: "drop" if operation == "file_stream" else None,
    "no tables": lambda operation, before: 500 if operation == "CreateArtifact" else None,
}


@pytest.mark.slow
def test_a_refused_curve_is_not_taken_for_sent(server, tmp_path):
    """`finish()` of the client says nothing of a 403 on the stream: the server alone knows."""
    store = build(tmp_path, Shape())
    server.fault = FAULTS["refused stream"]
    assert not send(store).complete
    assert curves(server, store) == [0, 0, 0]
    server.fault = lambda operation, before: None
    assert send(store) == Sent(["W&B me/p: 4 runs sent now, 0 there before"])
    assert curves(server, store) == [ROWS, ROWS, ROWS]


@pytest.mark.slow
def test_whatever_fails_is_one_line_and_the_next_push_sends_what_is_missing_once(server, tmp_path):
    store = build(tmp_path, Shape())
    for name, fault in FAULTS.items():
        server.fault = fault
        sent = send(store)
        assert not sent.complete, name
        assert sum("Nothing is lost: `w2s push made-up`" in line for line in sent.lines) == 1, name
        assert all("\n" not in line for line in sent.lines), name
    server.fault = lambda operation, before: None
    assert send(store).complete
    assert curves(server, store) == [ROWS, ROWS, ROWS]


@pytest.mark.slow
def test_a_push_that_was_killed_in_the_middle_of_a_curve_is_continued(server, tmp_path):
    """The server has the first rows of one curve, all of another without its summary, and this store has no note."""
    store = build(tmp_path, Shape())
    assert send(store).complete
    weak, student = (server.run(run_id("stage", keys(store)[role])) for role in ("weak", "student"))
    weak.history = {line: row for line, row in weak.history.items() if line < 2}
    weak.summary, student.summary = {}, {}
    (note,) = (store.sweep(NAME) / "wandb" / "arrived").iterdir()
    note.unlink()
    assert send(store) == Sent(["W&B me/p: 2 runs sent now, 2 there before"])
    assert curves(server, store) == [ROWS, ROWS, ROWS]
    assert [row["global_step"] for row in weak.rows] == [1, 2, 3, 4, 5]
    assert student.summary["pgr"] == pytest.approx(0.5)


@pytest.mark.slow
def test_the_id_of_a_deleted_run_is_told_as_that_and_a_salt_helps(server, tmp_path, monkeypatch):
    store = build(tmp_path, Shape())
    server.deleted.add(run_id("stage", keys(store)["weak"]))
    sent = send(store)
    assert not sent.complete
    assert sent.lines[0] == "W&B me/p: 3 runs sent now, 0 there before"
    assert "1 runs were deleted there" in sent.lines[1]
    assert "W2S_WANDB_SALT=2 w2s push made-up" in sent.lines[1]
    monkeypatch.setenv("W2S_WANDB_SALT", "2")
    assert send(store).complete
    assert curves(server, store) == [ROWS, ROWS, ROWS]


@pytest.mark.slow
def test_without_a_server_a_sweep_ends_as_well_and_nothing_is_written_for_a_sync(server, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nothing listens there
    store = build(tmp_path, Shape())
    sent = send(store, mode="auto")
    assert not sent.complete
    assert len(sent.lines) == 1
    assert not list(tmp_path.rglob("offline-run-*"))


@pytest.mark.slow
def test_the_command_mirrors_where_the_sweep_or_its_words_say(server, tmp_path, capsys):
    store = build(tmp_path, Shape())
    command = ["--store", str(store.root), "push", NAME]
    server.fault = FAULTS["401"]
    assert w2s(command) == 1
    assert "Nothing is lost" in capsys.readouterr().out
    assert (store.sweep(NAME) / "report.html").is_file()
    server.fault = lambda operation, before: None
    assert w2s([*command, "tracker=wandb", "tracker.project=q", "--force"]) == 0
    assert "W&B me/q: 4 runs sent now, 0 there before" in capsys.readouterr().out
    assert curves(server, store, "q") == [ROWS, ROWS, ROWS]
    assert w2s([*command, "seed=1"]) == 1
    assert "takes tracker=NAME" in capsys.readouterr().err
    record = read_json(store.sweep(NAME) / "sweep.json") or {}
    write_json(store.sweep(NAME) / "sweep.json", record | {"settings": {"tracker": {"name": "none"}, "modules": []}})
    assert w2s(command) == 1
    assert "w2s push made-up tracker=wandb" in capsys.readouterr().err
