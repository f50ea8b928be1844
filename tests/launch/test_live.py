"""What is shown while a sweep runs: speeds and times left from what was measured, states, PGRs, what to type next."""

import io
from types import SimpleNamespace

import pytest

from tests.results_store import LOSSES, NAME, Shape, build
from tests.setups import cell, identify
from w2s_sweep.cells.cell import Sweep
from w2s_sweep.cells.merge import merge
from w2s_sweep.launch import progress as progress_module
from w2s_sweep.launch.announce import announce
from w2s_sweep.launch.engine import Job
from w2s_sweep.launch.next_steps import next_steps, program, show_next
from w2s_sweep.launch.pace import Pace, Running
from w2s_sweep.launch.progress import Progress
from w2s_sweep.launch.recovered import Cells
from w2s_sweep.launch.sweep import plan_of
from w2s_sweep.results.collect import collect
from w2s_sweep.store import Store
from w2s_sweep.store.files import write_json
from w2s_sweep.terminal import SafeConsole


@pytest.fixture
def clock(monkeypatch):
    """The watcher's clock, which the test turns."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


@pytest.fixture
def job(tmp_path):
    """Two cells of one task, of which nothing has run; their stages by role."""
    cells = [cell(seed=seed) for seed in (0, 1)]
    graph, store = merge(cells, identify), Store(tmp_path / "store")
    store.prepare()
    entries = [
        {"overrides": ["dataset=d", f"seed={i}"], "cell": {"metric": "accuracy"}, "roles": roles_of(roles)}
        for i, roles in enumerate(graph.roles)
    ]
    write_json(store.sweep(NAME) / "sweep.json", {"cells": entries, "stages": {key: {} for key in graph.stages}})
    plan = plan_of(graph, store)
    return Job(NAME, Sweep(store=str(store.root)), store, plan, lambda: plan)


def roles_of(roles):
    return {"weak": roles.weak, "student": roles.student, "ceiling": roles.ceiling}


def watch(job, *, terminal):
    console = SafeConsole(file=io.StringIO(), force_terminal=terminal, width=140, color_system=None)
    return Progress(job, job.plan.keys("to run"), console)


def show(progress):
    console = SafeConsole(file=io.StringIO(), width=140, color_system=None)
    console.print(progress.view().render())
    return said(SimpleNamespace(console=console))


def said(progress):
    return progress.console.file.getvalue()


def report(job, key, **how_far):
    write_json(job.store.work(key) / "progress.json", how_far)


def finish(job, key, **scores):
    with job.store.attempt(key) as out:
        write_json(out / "summary.json", {f"{metric}/test": value for metric, value in scores.items()})


def test_speed_and_time_left_are_measured_from_the_first_look(job):
    stage = job.plan.graph.stages[job.plan.graph.roles[0].weak]
    one = Running(stage, 0.0)
    assert (one.rate, one.left, one.tokens_rate) == (None, None, None)
    loading = Running(stage, 0.0)
    loading.update({"step": 1, "total": 100, "seconds": 9.0})
    assert loading.rate is None  # most of it was no training
    one.update({"step": 40, "total": 100, "seconds": 10.0})
    assert (one.rate, one.left) == (4.0, 15.0)  # as if it had begun at step 0
    one.update({"step": 50, "total": 100, "seconds": 20.0})
    assert (one.rate, one.left) == (1.0, 50.0)  # it went on from a checkpoint at step 40
    assert one.tokens_rate == pytest.approx(stage.cost.tokens / 100)


def test_what_waits_is_expected_to_go_as_fast_as_its_kind(job):
    stages = job.plan.graph.stages
    first, second = (stages[roles.ceiling] for roles in job.plan.graph.roles)
    running = Running(second, 0.0)
    running.update({"step": 1, "total": 4, "seconds": 1.0})
    pace = Pace([first, second, second])
    assert pace.seconds_left([], 1) is None
    pace.begin(first)
    pace.end(first, 10.0)
    assert pace.seconds_left([], 1) == pytest.approx(20.0)
    assert pace.seconds_left([], 2) == pytest.approx(10.0)
    pace.begin(second)
    assert pace.seconds_left([running], 1) == pytest.approx(13.0)
    pace.begin(second)
    assert pace.seconds_left([], 1) == 0


def test_the_view_shows_states_speed_time_left_and_the_last_pgr(job, clock):
    progress, roles = watch(job, terminal=True), job.plan.graph.roles
    assert f"{NAME}  0/2 cells  0 done  {progress.total} waiting" in show(progress)
    assert "time left: not known yet" in show(progress)
    for key, score in ((roles[0].weak, 0.6), (roles[0].ceiling, 0.8), (roles[0].student, 0.7)):
        progress.start(key)
        clock.seconds += 30
        finish(job, key, accuracy=score)
        progress.end(key, "done")
    progress.start(roles[1].weak)
    report(job, roles[1].weak, step=10, total=40, seconds=20)
    progress.tick()
    shown = show(progress)
    assert f"{NAME}  1/2 cells  3 done  1 running" in shown
    assert "10/40" in shown
    assert "tokens/s" in shown
    assert "1 min left" in shown
    assert "PGR 0.50  seed=0" in shown  # what both cells have in common is not said
    assert "about" in shown
    (last,) = [line for line in said(progress).splitlines() if "student" in line]
    assert last.split()[:2] == ["done", f"3/{progress.total}"]
    assert "accuracy 0.700" in last
    assert last.endswith("30.0 s  PGR 0.50")


def test_a_stage_that_chooses_rows_says_how_many_are_left(job, clock):
    progress, key = watch(job, terminal=True), job.plan.graph.roles[0].weak
    progress.start(key)
    with job.store.attempt(key) as out:
        write_json(out / "summary.json", {"kept": 27, "of": 1980})
    progress.end(key, "done")
    assert "27 of 1,980 rows kept" in said(progress)


def test_failures_are_counted_and_said(job, clock):
    progress, key = watch(job, terminal=True), job.plan.graph.roles[0].weak
    progress.start(key)
    write_json(job.store.work(key) / "failure.json", {"error": "the loss became nan\nand more"})
    progress.end(key, "failed")
    progress.end(job.plan.graph.roles[0].student, "blocked")
    assert "1 failed  1 blocked" in show(progress)
    assert "the loss became nan" in said(progress)
    assert "(a stage that it needs has not come to its end)" in said(progress)


def test_without_a_terminal_what_runs_is_said_now_and_then(job, clock):
    progress, key = watch(job, terminal=False), job.plan.graph.roles[0].weak
    progress.start(key)
    report(job, key, step=10, total=40, seconds=20)
    progress.tick()
    assert said(progress) == ""
    clock.seconds += progress_module.PLAIN_SECONDS
    progress.tick()
    progress.tick()
    (line,) = said(progress).splitlines()
    assert line.startswith("running weak")
    assert "10/40" in line
    assert line.endswith("1 min left")


def test_a_cell_is_finished_by_the_last_of_its_roles(tmp_path):
    store = build(tmp_path, Shape(losses=LOSSES[:2], n_test=20, share=(0.5, 0.6, 0.7)))
    record = store.read_sweep(NAME)
    cells = Cells(store, record)
    keys = [entry["roles"]["student"] for entry in record["cells"]]
    found = cells.finish(keys[0])
    assert [(one.cell, one.about) for one in found] == [(0, "loss=xent")]
    assert found[0].text == "PGR undefined  loss=xent"  # made-up summaries say .5 for every role
    assert cells.finish(keys[0]) == []
    assert list(cells.open) == [1]


def test_a_cell_without_a_ceiling_is_finished_by_its_student(tmp_path):
    store = build(tmp_path, Shape(losses=LOSSES[:1], n_test=20, share=(0.5, 0.6, 0.7)))
    record = store.read_sweep(NAME)
    for entry in record["cells"]:
        del entry["roles"]["ceiling"]  # as of sweeps with ceiling.skip
    (found,) = Cells(store, record).finish(record["cells"][0]["roles"]["student"])
    assert found.pgr is None


def test_what_to_type_next_fits_what_became_of_the_cells(tmp_path):
    def words(**shape):
        rows = collect(build(tmp_path / str(len(list(tmp_path.iterdir()))), Shape(n_test=20, **shape)), NAME).rows
        return [step for step, _ in next_steps(NAME, rows)]

    assert words(losses=LOSSES[:2]) == [f"report {NAME} --why 0", f"diff {NAME}/0 {NAME}/1", "list"]
    assert words(seeds=(0, 1)) == [f"report {NAME} --why 0", "list", f"status {NAME}"]
    failed = ("student w14 s410 sciq 0 0",)
    assert words(losses=LOSSES[:2], failed=failed) == [f"status {NAME}", f"retry {NAME}", f"report {NAME} --why 1"]


def test_no_command_is_cut_where_the_window_is_narrow(tmp_path):
    store = build(tmp_path / ("long" * 20), Shape(n_test=20))
    console = SafeConsole(file=io.StringIO(), width=60, color_system=None)
    show_next(console, store, NAME, collect(store, NAME).rows)
    lines = said(SimpleNamespace(console=console)).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("next:  ") for line in lines)
    assert f"{store.root.name} report {NAME} --why 0  one PGR" in lines[0].replace(str(tmp_path), "")


def test_the_commands_work_in_this_shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("W2S_STORE", "runs")
    (tmp_path / "venv").mkdir()
    for name in ("python", "w2s"):
        (tmp_path / "venv" / name).write_text("#!/bin/sh\n")
        (tmp_path / "venv" / name).chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "venv" / "python"))
    monkeypatch.setenv("PATH", "")
    assert program(Store(tmp_path / "runs")) == "venv/w2s"
    monkeypatch.setenv("PATH", str(tmp_path / "venv"))
    assert program(Store(tmp_path / "runs")) == "w2s"
    assert program(Store(tmp_path / "my runs")) == "w2s --store 'my runs'"


@pytest.mark.parametrize(
    ("terminal", "words", "said"),
    [
        (True, ["-m", "seed=0,1"], "composing the sweep ...\n"),
        (True, [], "composing the sweep ...\n"),
        (True, ["-sc", "query=bash"], ""),  # a shell that completes a word
        (True, ["--help"], ""),
        (False, ["seed=0"], ""),
    ],
)
def test_the_first_sign_of_life_is_for_people(terminal, words, said, monkeypatch):
    error = io.StringIO()
    monkeypatch.setattr(error, "isatty", lambda: terminal)
    monkeypatch.setattr("sys.stderr", error)
    announce(words)
    assert error.getvalue() == said
