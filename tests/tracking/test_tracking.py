"""The W&B mirror, against the real client offline: complete, repeatable, and never in the way of training."""

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import w2s_sweep
from tests.results_store import LOSSES, NAME, Shape, build
from tests.setups import cell, dataset, identify, model
from w2s_sweep.cells.merge import merge
from w2s_sweep.cli import main as w2s
from w2s_sweep.config.finetune import Full
from w2s_sweep.plan.stage import Stage
from w2s_sweep.results.collect import collect
from w2s_sweep.results.outcome import outcome_of
from w2s_sweep.results.records import Results
from w2s_sweep.results.report import write_results
from w2s_sweep.store import Store
from w2s_sweep.store.files import write_json
from w2s_sweep.tracking import TRACKERS, NullRun, NullTracker, Outcome, Run, make_tracker
from w2s_sweep.tracking.naming import run_config
from w2s_sweep.tracking.wandb.dashboard import workspace
from w2s_sweep.tracking.wandb.push import Pushed, WandbTracker
from w2s_sweep.tracking.wandb.session import Boundary, choose_mode, has_account, run_id

OLD = pytest.mark.filterwarnings("ignore::DeprecationWarning")
"""W&B's package for views is written in an older style of pydantic."""
OFFLINE = {"name": "wandb", "project": "p", "entity": None, "mode": "offline"}


@pytest.fixture(autouse=True)
def _no_account(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "RANK", "W2S_WANDB_SALT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB__SERVICE_WAIT", "300")


def stage(kind="finetune", seed=0) -> Stage:
    """A stage of a cell of one seed: the supervisor, or one of another kind."""
    graph = merge([cell(finetune=Full(lr=0.1), weak=model("m"), dataset=dataset("sciq"), seed=seed)], identify)
    return next(one for one in graph.stages.values() if one.kind == kind)


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


def push(store: Store, results: Results) -> Pushed:
    tracker = make_tracker(OFFLINE, results.sweep, store.sweep(results.sweep))
    assert isinstance(tracker, WandbTracker)
    return tracker.push(outcome_of(store, results))


def runs(sweep: Path) -> list[Path]:
    return sorted(sweep.glob("wandb/offline-run-*"))


def test_live_run_has_every_row_under_the_id_of_its_stage(tmp_path):
    tracker = make_tracker(OFFLINE, "sweep", tmp_path)
    run = tracker.start(stage(), tmp_path)
    for step in range(1, 6):
        run.log({"loss": 1 / step}, step)
    run.finish({"accuracy/test": 0.75, "versions": {"torch": "2"}, "label": "x"})
    (folder,) = runs(tmp_path)
    assert folder.name.endswith(run_id("stage", stage().key))
    text = json.dumps(records(folder))
    assert text.count('"type": "history"') == 5
    for part in (
        "global_step",
        "accuracy/test",
        "versions/torch",
        "weak m sciq xent seed 0",
        "finetune/lr",
        "model/params",
    ):
        assert part in text


def test_a_stage_that_failed_does_not_lend_its_run_to_the_next(tmp_path):
    tracker = make_tracker(OFFLINE, "sweep", tmp_path)
    tracker.start(stage(seed=0), tmp_path).log({"loss": 1.0}, 1)
    tracker.start(stage(seed=1), tmp_path).finish({})
    assert {f.name.rpartition("-")[2] for f in runs(tmp_path)} == {run_id("stage", stage(seed=s).key) for s in (0, 1)}


def test_push_mirrors_every_finished_stage_once_and_only_once(tmp_path):
    store = build(tmp_path, Shape(losses=LOSSES[:2], missing=("student w14 s410 sciq 1 0",)))
    results = collect(store, NAME)
    write_results(store, results, store.sweep(NAME))
    first = push(store, results)
    assert (first.sent, first.present, first.complete) == (3, 0, True)
    before = [folder.name for folder in runs(store.sweep(NAME))]
    assert len(before) == 4
    again = push(store, results)
    assert (again.sent, again.present, again.complete) == (0, 3, True)
    assert [folder.name for folder in runs(store.sweep(NAME))] == before
    student = json.dumps(
        records(
            next(f for f in runs(store.sweep(NAME)) if f.name.endswith(run_id("stage", results.rows[0].student_key)))
        )
    )
    assert all(name in student for name in ('"pgr"', "acc/weak", "acc/student", "acc/ceiling", "gain/brier"))
    summary = next(f for f in runs(store.sweep(NAME)) if f.name.endswith(run_id("sweep", NAME)))
    assert any(summary.rglob("*.table.json"))
    assert {path.name.partition("_")[0] for path in summary.rglob("media/images/figures/*.png")} >= {"pgr", "accuracy"}
    assert any(summary.rglob("media/html/report_*.html"))
    assert not list((tmp_path / "stages").rglob("wandb"))


@pytest.mark.slow
@OLD
def test_the_view_of_a_sweep_shows_what_the_mirror_sends(tmp_path):
    """Every metric a panel names is in the record of some run; the view holds the runs with the sweep's tag."""
    store = build(tmp_path, Shape())
    results = collect(store, NAME)
    write_results(store, results, store.sweep(NAME))
    push(store, results)
    live = make_tracker(OFFLINE, NAME, tmp_path / "live").start(stage(), tmp_path)
    live.log({"loss": 1.0, "lr": 0.1, "validation": 0.5}, 1)
    live.finish({})
    sent = json.dumps([records(folder) for folder in [*runs(store.sweep(NAME)), *runs(tmp_path / "live")]])

    def is_sent(name):
        """Under this very name: a number, or the parts of a picture or a page."""
        return f'"{name}": ' in sent or f'"{name}._type": ' in sent

    view = json.loads(workspace(NAME, ["pgr", "accuracy"], "p", "me")._to_model().model_dump_json(by_alias=True))
    panels = [p for s in view["spec"]["section"]["panelBankConfig"]["sections"] for p in s["panels"]]
    named = [name for p in panels for name in [*p["config"].get("metrics", []), *p["config"].get("mediaKeys", [])]]
    assert len(named) > 10
    assert [name for name in named if not is_sent(name.removeprefix("summary_metrics."))] == []
    grouped = {p["config"]["groupBy"].removesuffix(".value") for p in panels if p["config"].get("groupBy")}
    assert "loss/name" in grouped
    config = {"loss": {"name": "xent"}}, {"name": "m"}, {"name": "d"}
    assert grouped <= run_config("key", "probe", *config).keys()
    assert f'"value": ["{NAME}"]' in json.dumps(view)


def test_without_an_account_there_is_no_view_but_a_word_what_to_do(tmp_path, capsys):
    store = build(tmp_path, Shape())
    command = ["--store", str(store.root), "dashboard", NAME]
    assert w2s(command) == 1
    assert "wandb login" in capsys.readouterr().err
    write_json(
        store.sweep(NAME) / "wandb" / "dashboard.json", {"url": "https://host/view", "project": "p", "entity": None}
    )
    assert w2s(command) == 0
    assert capsys.readouterr().out == "https://host/view\n"
    assert w2s([*command, "--project", "other"]) == 1
    assert "wandb login" in capsys.readouterr().err


@OLD
@pytest.mark.slow
def test_a_server_that_refuses_the_view_is_told_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nothing listens there
    store = build(tmp_path, Shape())
    assert w2s(["--store", str(store.root), "dashboard", NAME, "--entity", "me"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("dashboard: W&B")
    assert said.count("\n") == 1


def test_push_writes_an_unfinished_offline_run_anew(tmp_path):
    store = build(tmp_path, Shape())
    sweep = store.sweep(NAME)
    torn = sweep / "wandb" / f"offline-run-20260101_000000-{run_id('stage', collect(store, NAME).rows[0].weak_key)}"
    torn.mkdir(parents=True)
    (torn / "run.wandb").write_bytes(b"1234567")
    push(store, collect(store, NAME))
    assert not torn.exists()
    assert len(runs(sweep)) == 4


def test_none_other_ranks_and_untrained_stages_mirror_nothing(tmp_path, monkeypatch):
    none = make_tracker({"name": "none"}, "s", tmp_path)
    assert isinstance(none, NullTracker)
    store = build(tmp_path / "store", Shape())
    assert none.send(outcome_of(store, collect(store, NAME))) == ()
    assert not list(store.root.rglob("wandb"))
    make_tracker(OFFLINE, "s", tmp_path).start(stage("data"), tmp_path).finish({})
    monkeypatch.setenv("RANK", "1")
    assert isinstance(make_tracker(OFFLINE, "s", tmp_path), NullTracker)
    assert not (tmp_path / "wandb").exists()


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
    (tmp_path / "netrc").write_text("machine elsewhere.example login user password x\n")
    assert not has_account()
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password x\n")
    (tmp_path / "netrc").chmod(0o600)
    assert choose_mode("auto") == "online"
    assert choose_mode("offline") == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert choose_mode("auto") == "disabled"
    monkeypatch.setenv("WANDB_MODE", "")
    (tmp_path / "netrc").write_text("machine machine machine\n")
    assert choose_mode("auto") == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert choose_mode("auto") == "online"


def test_run_ids_depend_on_the_key_and_the_salt(monkeypatch):
    plain = run_id("stage", "abc")
    assert plain == run_id("stage", "abc") != run_id("stage", "abd")
    assert plain.isalnum()
    monkeypatch.setenv("W2S_WANDB_SALT", "2")
    assert run_id("stage", "abc") != plain


def test_failures_are_one_warning_and_training_goes_on(tmp_path, caplog):
    (tmp_path / "wandb").write_text("a file where a folder is wanted")
    tracker = make_tracker(OFFLINE, "s", tmp_path)
    with caplog.at_level(logging.WARNING):
        for seed in range(3):
            run = tracker.start(stage(seed=seed), tmp_path)
            run.log({"loss": 1.0}, 1)
            run.finish({})
    assert len(caplog.records) == 1
    assert "training goes on" in caplog.text
    store = build(tmp_path / "store", Shape())
    (store.sweep(NAME) / "wandb").write_text("here too")
    pushed = push(store, collect(store, NAME))
    assert not pushed.complete


def test_the_boundary_lets_other_peoples_exceptions_through(caplog):
    class StopError(RuntimeError):
        pass

    boundary = Boundary()
    with pytest.raises(StopError), boundary("logging"):
        raise StopError
    assert not boundary.broken
    with caplog.at_level(logging.WARNING), boundary("logging"):
        raise OSError("disk full")
    assert boundary.broken
    assert "disk full" in caplog.text


def test_a_server_that_does_not_answer_leaves_offline_runs(tmp_path, monkeypatch, caplog):
    """A refused connection at start is W&B's CommError; the same id goes on offline."""
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    import wandb

    from w2s_sweep.tracking.wandb import session

    settings = wandb.Settings
    monkeypatch.setattr(wandb, "Settings", lambda **kw: settings(**(kw | {"init_timeout": 2.0, "login_timeout": 1})))
    assert session.choose_mode("auto") == "online"
    with caplog.at_level(logging.WARNING):
        run = make_tracker(OFFLINE | {"mode": "auto"}, "s", tmp_path).start(stage(), tmp_path)
        run.log({"loss": 1.0}, 1)
        run.finish({})
    wandb.teardown()
    assert "does not answer" in caplog.text
    assert [f for f in runs(tmp_path) if f.name.endswith(run_id("stage", stage().key))]
    shutil.rmtree(tmp_path / "wandb")


class Notes:
    """A tracker that keeps in memory what it is given."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def start(self, stage: Stage, folder: Path) -> Run:
        return NullRun()

    def send(self, outcome: Outcome) -> list[str]:
        self.outcomes.append(outcome)
        return [f"{len(outcome.stages)} stages noted"]


def test_a_tracker_of_ones_own_gets_results_as_plain_data(tmp_path):
    store = build(tmp_path, Shape(seeds=(0, 1), missing=("ceiling s410 sciq 1",)))
    results, notes = collect(store, NAME), Notes()
    write_results(store, results, store.sweep(NAME))
    assert notes.send(outcome_of(store, results)) == ["5 stages noted"]
    (outcome,) = notes.outcomes
    assert {stage.key for stage in outcome.stages} == {key for key in results.record["stages"] if store.done(key)}
    assert all((stage.folder / "metrics.jsonl").is_file() for stage in outcome.stages)
    assert (outcome.numbers["cells"], outcome.numbers["cells/done"], outcome.numbers["median/pgr"]) == (
        2,
        1,
        pytest.approx(0.5),
    )
    assert outcome.scores[results.rows[0].student_key]["acc/student"] == pytest.approx(0.7)
    assert [len(row) for row in outcome.table] == [len(outcome.heads)]
    assert outcome.by_size == {410_000_000: {"pgr/sciq/w14/xent": pytest.approx(0.5)}}
    assert "pgr" in {path.stem for path in outcome.figures}
    assert outcome.report == store.sweep(NAME) / "report.html"
    assert json.loads(json.dumps([outcome.numbers, outcome.table, outcome.scores], allow_nan=False))


def test_trackers_are_registered_and_no_other_name_is_taken(tmp_path):
    assert list(TRACKERS) == ["none", "wandb"]
    with pytest.raises(ValueError, match="'none', 'wandb'"):
        make_tracker({"name": "mlflow"}, "s", tmp_path)


ROOM = Path(w2s_sweep.__file__).parent


@pytest.mark.parametrize(("room", "never"), [("tracking", "results"), ("tracking", "launch"), ("results", "launch"),
                                             ("metrics", "results"), ("metrics", "tracking")])  # fmt: skip
def test_imports_point_down(room, never):
    files = [path for path in (ROOM / room).rglob("*.py") if f"w2s_sweep.{never}" in path.read_text()]
    assert files == []
