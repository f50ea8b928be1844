"""The W&B mirror, against the real client offline: complete, repeatable, and never in the way of training."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

import w2s_sweep
from tests.results_store import LOSSES, NAME, Shape, build
from w2s_sweep.config.plain import from_plain
from w2s_sweep.errors import ConfigError
from w2s_sweep.results.collect import collect
from w2s_sweep.results.collected import Results
from w2s_sweep.results.outcome import outcome_of
from w2s_sweep.results.report import write_results
from w2s_sweep.store import Store
from w2s_sweep.store.files import write_json
from w2s_sweep.tracking import TRACKERS, NoTracker, Outcome, Sent, make_tracker
from w2s_sweep.tracking.wandb.session import (
    Session,
    WandbFailed,
    boundary,
    choose_mode,
    has_account,
    run_id,
    server_url,
)
from w2s_sweep.tracking.wandb.settings import Wandb

KEY = "0" * 40
OFFLINE = {"name": "wandb", "project": "p", "entity": None, "mode": "offline"}


def records(folder: Path) -> list[dict]:
    """The records of one offline run, read back with W&B's own tool once its end is on disk."""
    for _ in range(100):
        done = subprocess.run(
            [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)], capture_output=True, text=True
        )
        found = [json.loads(line) for line in done.stdout.splitlines()]
        if any(record["type"] == "exit" for record in found):
            return found
    raise AssertionError(done.stderr)


def push(store: Store, results: Results, **settings: object) -> Sent:
    tracker = make_tracker(OFFLINE | settings, results.sweep, store.sweep(results.sweep))
    return tracker.send(outcome_of(store, results))


def runs(sweep: Path) -> list[Path]:
    return sorted(sweep.glob("wandb/offline-run-*"))


@pytest.mark.slow
def test_offline_runs_are_written_once_and_can_be_read_back(tmp_path):
    store = build(tmp_path, Shape(losses=LOSSES[:2], missing=("student w14 s410 sciq 1 0",)))
    results = collect(store, NAME)
    write_results(store, results, store.sweep(NAME))
    first = push(store, results)
    assert first.lines[0] == "W&B offline: 4 runs written now, 0 before"
    assert f"wandb sync {store.sweep(NAME)}/wandb/offline-run-*" in first.lines[1]
    before = [folder.name for folder in runs(store.sweep(NAME))]
    assert len(before) == 4
    assert push(store, results).lines[0] == "W&B offline: 0 runs written now, 4 before"
    assert [folder.name for folder in runs(store.sweep(NAME))] == before
    student = json.dumps(
        records(
            next(f for f in runs(store.sweep(NAME)) if f.name.endswith(run_id("stage", results.rows[0].student_key)))
        )
    )
    assert student.count('"type": "history"') == 5
    assert all(name in student for name in ('"pgr"', "acc/weak", "acc/student", "acc/ceiling", "gain/brier"))
    summary = next(f for f in runs(store.sweep(NAME)) if f.name.endswith(run_id("sweep", NAME)))
    assert any(summary.rglob("*.table.json"))
    assert {path.name.partition("_")[0] for path in summary.rglob("media/images/figures/*.png")} >= {"pgr", "accuracy"}
    assert any(summary.rglob("media/html/report_*.html"))
    assert not list((tmp_path / "stages").rglob("wandb"))


@pytest.mark.slow
def test_what_is_online_or_synced_is_not_written_for_a_sync(tmp_path):
    """`wandb sync` appends: of a run that the server has it would double the curve."""
    store = build(tmp_path, Shape())
    results = collect(store, NAME)
    row, files = results.rows[0], store.sweep(NAME) / "wandb"
    write_json(files / "arrived" / "x.json", {"runs": {}, "begun": [run_id("stage", row.weak_key)]})
    synced = files / f"offline-run-20260101_000000-{run_id('stage', row.student_key)}"
    synced.mkdir(parents=True)
    (synced / "run.wandb.synced").write_text("")
    torn = files / f"offline-run-20260101_000000-{run_id('stage', row.ceiling_key)}"
    torn.mkdir()
    (torn / "run.wandb").write_bytes(b"1234567")
    sent = push(store, results)
    assert sent.lines[0] == "W&B offline: 2 runs written now, 0 before"
    assert "2 runs went to a server before" in sent.lines[-1]
    assert not torn.exists()
    assert len(runs(store.sweep(NAME))) == 3


@pytest.mark.slow
def test_a_run_that_the_user_has_open_in_the_program_stays_open(tmp_path):
    """A mirror ends W&B's process, which would end the run of a notebook with it."""
    import wandb

    store = build(tmp_path / "store", Shape())
    results = collect(store, NAME)
    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    with wandb.init(mode="offline", dir=tmp_path, name="mine", settings=settings) as mine:
        sent = push(store, results)
        assert not sent.complete
        assert "your run mine is open" in sent.lines[0]
        assert wandb.run is mine
        mine.log({"a": 1})
    assert push(store, results).complete
    (theirs,) = tmp_path.glob("wandb/offline-run-*")
    assert [one["type"] for one in records(theirs)].count("history") == 1
    wandb.teardown()


def test_none_mirrors_nothing(tmp_path):
    none = make_tracker({"name": "none"}, "s", tmp_path)
    store = build(tmp_path / "store", Shape())
    assert none.send(outcome_of(store, collect(store, NAME))) == Sent()
    assert not list(store.root.rglob("wandb"))


@pytest.mark.slow
def test_making_a_tracker_does_not_import_wandb():
    code = (
        "import sys; from pathlib import Path; from w2s_sweep.tracking import make_tracker\n"
        f"make_tracker({OFFLINE!r}, 's', Path('.'))\n"
        "print([n for n in ('wandb', 'torch', 'matplotlib') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_auto_is_online_only_when_has_account(tmp_path, monkeypatch):
    assert choose_mode("auto") == "offline"
    (tmp_path / "netrc").write_text(f"machine elsewhere.example login user password {KEY}\n")
    assert not has_account()
    (tmp_path / "netrc").write_text(f"machine api.wandb.ai login user password {KEY}\n")
    (tmp_path / "netrc").chmod(0o600)
    assert choose_mode("auto") == "online"
    assert choose_mode("offline") == "offline"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert choose_mode("auto") == "offline"
    assert choose_mode("online") == "online", "the environment is for what is left open"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert {choose_mode(mode) for mode in ("auto", "online", "offline")} == {"disabled"}
    monkeypatch.setenv("WANDB_MODE", "")
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password x\n")
    assert choose_mode("auto") == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert choose_mode("auto") == "online"


def test_a_login_to_a_server_of_ones_own_is_found(tmp_path, monkeypatch):
    """`wandb login --host` writes the server into W&B's settings and the key into the netrc file."""
    import wandb

    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    (tmp_path / "settings").write_text("[default]\nbase_url = http://wandb.lab.example:8080\n")
    (tmp_path / "netrc").write_text(f"machine wandb.lab.example:8080 login user password {KEY}\n")
    (tmp_path / "netrc").chmod(0o600)
    wandb.teardown()
    assert server_url() == "http://wandb.lab.example:8080"
    assert choose_mode("auto") == "online"
    wandb.teardown()


def test_what_is_not_set_is_taken_from_wandbs_environment(tmp_path, monkeypatch):
    def session(**settings: object) -> Session:
        return Session(from_plain(Wandb, {"name": "wandb", **settings}), "s", tmp_path, "offline")

    assert (session().project, session().entity, session().notes) == ("w2s-sweep", None, None)
    assert (session().tags, session().files) == (("s",), tmp_path / "wandb")
    named = {"PROJECT": "theirs", "ENTITY": "team", "NOTES": "n", "TAGS": "a, b", "DIR": str(tmp_path / "far")}
    for name, value in named.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    assert (session().project, session().entity, session().notes) == ("theirs", "team", "n")
    assert (session().tags, session().files) == (("s", "a", "b"), tmp_path / "far" / "wandb")
    own = session(project="mine", entity="me", notes="text", tags=["x" * 70])
    assert (own.project, own.entity, own.notes) == ("mine", "me", "text")
    assert [len(tag) for tag in own.tags] == [1, 64]


def test_run_ids_depend_on_the_key_and_the_salt(monkeypatch):
    plain = run_id("stage", "abc")
    assert plain == run_id("stage", "abc") != run_id("stage", "abd")
    assert plain.isalnum()
    monkeypatch.setenv("W2S_WANDB_SALT", "2")
    assert run_id("stage", "abc") != plain


def test_the_boundary_lets_other_peoples_exceptions_through():
    class StopError(RuntimeError):
        pass

    with pytest.raises(StopError), boundary("logging"):
        raise StopError
    with pytest.raises(WandbFailed, match="logging: OSError: disk full"), boundary("logging"):
        raise OSError("disk full")


def test_a_broken_pipe_of_wandb_is_of_wandb():
    with pytest.raises(WandbFailed, match="sending: BrokenPipeError"), boundary("sending"):
        raise BrokenPipeError(32, "Broken pipe")


class Notes:
    """A tracker that keeps in memory what it is given."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def send(self, outcome: Outcome, force: bool = False) -> Sent:
        self.outcomes.append(outcome)
        return Sent([f"{len(outcome.stages)} stages noted"])


@pytest.mark.slow
def test_a_tracker_of_ones_own_gets_results_as_plain_data(tmp_path):
    store = build(tmp_path, Shape(seeds=(0, 1), missing=("ceiling s410 sciq 1",)))
    results, notes = collect(store, NAME), Notes()
    write_results(store, results, store.sweep(NAME))
    assert notes.send(outcome_of(store, results)).lines == ["5 stages noted"]
    (outcome,) = notes.outcomes
    assert {stage.key for stage in outcome.stages} == {key for key in results.record["stages"] if store.is_done(key)}
    assert all((stage.folder / "metrics.jsonl").is_file() for stage in outcome.stages)
    counts = [outcome.numbers[name] for name in ("cells", "cells/done", "median/pgr")]
    assert counts == [2, 1, pytest.approx(0.5)]
    student = next(stage for stage in outcome.stages if stage.key == results.rows[0].student_key)
    assert student.scores["acc/student"] == pytest.approx(0.7)
    assert student.partners == {"weak": results.rows[0].weak_key, "ceiling": results.rows[0].ceiling_key}
    assert student.place == {"cells": "0", "roles": "student", "setting": "xent"}
    assert [len(row) for row in outcome.table] == [len(outcome.heads)]
    assert outcome.provenance["command"] == "launch.py -m seed=0,1"
    assert outcome.provenance["store"] == str(tmp_path)
    assert "pgr" in {path.stem for path in outcome.figures}
    assert outcome.report == store.sweep(NAME) / "report.html"
    assert json.loads(json.dumps([outcome.numbers, outcome.table, student.scores, student.config], allow_nan=False))


def test_trackers_are_registered_and_no_other_name_is_taken(tmp_path):
    assert list(TRACKERS) == ["none", "tensorboard", "wandb"]
    with pytest.raises(ConfigError, match=r"unknown name 'mlflow'.*none, tensorboard, wandb"):
        make_tracker({"name": "mlflow"}, "s", tmp_path)


def test_what_a_tracker_raises_when_it_is_opened_is_no_fault_of_its_settings(tmp_path, monkeypatch):
    monkeypatch.setattr(NoTracker, "open", lambda *_: TypeAdapter(int).validate_python("of its own"))
    with pytest.raises(ValidationError, match="of its own"):
        make_tracker({"name": "none"}, "s", tmp_path)


ROOM = Path(w2s_sweep.__file__).parent


@pytest.mark.parametrize(("room", "never"), [
    ("tracking", "results"), ("tracking", "launch"), ("results", "launch"), ("metrics", "results"),
    ("metrics", "tracking"),
    ("runner", "tracking"), ("stages", "tracking"), ("training", "tracking"),  # no job can wait for a service
])  # fmt: skip
def test_imports_point_down(room, never):
    files = [path for path in (ROOM / room).rglob("*.py") if f"w2s_sweep.{never}" in path.read_text()]
    assert files == []
