"""What the work of a sweep used, and what its tasks asked for: rows by kind of work, whatever records say."""

import json
from collections import Counter
from dataclasses import replace

import pytest

import w2s_sweep as w2s
from tests.results_store import LOSSES, NAME, Shape, build
from w2s_sweep.cli import main
from w2s_sweep.results import cost, processes
from w2s_sweep.results.collect import collect
from w2s_sweep.results.join import join
from w2s_sweep.results.report import page_in, render, write_results
from w2s_sweep.results.tables.written import as_markdown
from w2s_sweep.results.usage import usage_of, usage_of_tasks
from w2s_sweep.store.files import read_json

ASK = {"gpus": 2, "cpus": 8, "memory_gb": 40, "minutes": 90}


@pytest.fixture
def store(tmp_path):
    """Two cells: a supervisor, a ceiling and two students, one of which failed; stages took 1.5 s on the CPU."""
    return build(tmp_path, Shape(losses=LOSSES[:2], failed=("student w14 s410 sciq 1 0",)))


def key(store, role):
    stages = store.read_sweep(NAME)["stages"]
    return next(key for key, about in stages.items() if about["role"] == role and store.is_done(key))


def submit(store, *tasks, token="a", submitted=1.0, sweep=NAME):
    record = {"token": token, "submitted": submitted, "tasks": tasks}
    path = store.sweep(sweep) / "jobs" / f"submission-{token}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def task(job, *keys, **ask):
    return {"job": job, "stages": keys, "ask": ASK | ask}


def found(store, record=None):
    """(work, tasks, stages, hours asked, seconds used)"""
    rows = usage_of(store, record or store.read_sweep(NAME))
    return [(row.work, row.tasks, row.stages, row.asked_hours, round(row.used_hours * 3600, 3)) for row in rows]


def test_without_slurm_there_is_what_was_used(store, monkeypatch):
    """Of tasks there is nothing to read then, nor of those whose submission recorded no asks."""
    assert found(store) == [(role, 0, 1, None, 1.5) for role in ("ceiling", "student", "weak")]
    record = store.read_sweep(NAME)
    monkeypatch.delattr(cost, "read_json")
    assert usage_of_tasks(store, record) is None
    submit(store, {"job": "1", "stages": [key(store, "weak")]})
    assert usage_of_tasks(store, record) is None


def test_tasks_are_rows_apart_by_what_is_in_them(store):
    weak, student = key(store, "weak"), key(store, "student")
    submit(store, task("1", weak, minutes=30), task("2", student))
    submit(store, task("3", weak, student), token="b", submitted=2.0)  # submitted again, together
    assert found(store) == [("ceiling", 0, 1, None, 1.5), ("weak, student", 3, 2, 3.5, 3.0)]
    total = usage_of_tasks(store, store.read_sweep(NAME))
    assert total is not None
    assert (total.asked_gpu_hours, total.used_gpu_hours, total.asked_gb, total.used_gb) == (7.0, 0.0, 40.0, None)


@pytest.mark.parametrize("sweep", [NAME, "other"])
def test_a_stage_that_was_submitted_twice_counts_once_for_the_task_that_finished_it(store, sweep):
    """Lost in a task of two and submitted again, by its own sweep or by another that is joined with it."""
    weak, student = key(store, "weak"), key(store, "student")
    submit(store, task("1", weak, student))
    submit(store, task("2", student, minutes=30), token="b", submitted=2.0, sweep=sweep)
    one = store.read_sweep(NAME)
    joined = one if sweep == NAME else join([one, one | {"name": sweep}])
    assert found(store, joined) == [
        ("ceiling", 0, 1, None, 1.5), ("student", 1, 1, 0.5, 1.5), ("weak, student", 1, 1, 1.5, 1.5)
    ]  # fmt: skip
    assert usage_of_tasks(store, joined).stages == 2


def test_a_stage_whose_newer_task_is_not_done_counts_without_one(store):
    failed = next(key for key in store.read_sweep(NAME)["stages"] if not store.is_done(key))
    submit(store, task("1", key(store, "student")))
    submit(store, task("2", key(store, "student"), failed), token="b", submitted=2.0)
    assert ("student", 0, 1, None, 1.5) in found(store)
    assert usage_of_tasks(store, store.read_sweep(NAME)) is None


def test_sums_do_not_depend_on_the_order_of_sets(store):
    """Summed in another order, 1e16 swallows what the others took, or not."""
    times = {f"{number:02}" * 10: 1.0 for number in range(40)} | {"0" * 20: 1e16}
    for name, seconds in times.items():
        store.path(name).mkdir()
        (store.path(name) / "summary.json").write_text(json.dumps({"device": "cpu", "seconds": seconds}))
    for names in (list(times), list(times)[::-1]):
        (row,) = usage_of(store, {"name": NAME, "stages": {name: {"label": "one"} for name in names}})
        assert row.used_hours == sum(times[name] for name in names) / 3600


def test_what_a_script_does_not_ask_is_not_made_up(store):
    """Hours of all tasks are not known where those of one are not."""
    weak, student = key(store, "weak"), key(store, "student")
    submit(store, task("1", weak, memory_gb=None), task("2", student, minutes=None, gpus=None))
    rows = usage_of(store, store.read_sweep(NAME))
    asked = [(row.asked_hours, row.asked_gpu_hours, row.asked_gb) for row in rows]
    assert asked == [(None, None, None), (None, None, 40.0), (1.5, 3.0, None)]
    assert "asked for unknown hours and used 0.0" in str(usage_of_tasks(store, store.read_sweep(NAME)))


def test_a_task_counts_when_all_of_its_stages_are_done(store):
    failed = next(key for key in store.read_sweep(NAME)["stages"] if not store.is_done(key))
    submit(store, task("1", key(store, "student"), failed))
    assert ("student", 0, 1, None, 1.5) in found(store)


@pytest.mark.parametrize("odd", [None, "much", float("nan"), []], ids=str)
def test_numbers_that_are_none_stop_no_report(store, odd):
    weak = key(store, "weak")
    submit(store, task("1", weak, minutes=odd))
    summary = {"device": "cuda", "seconds": odd, "processes": odd, "GPUs": odd, "peak RSS GB": odd, "planned GB": odd}
    (store.path(weak) / "summary.json").write_text(json.dumps(summary))
    assert ("weak", 1, 1, None, 0.0) in found(store)


def test_a_page_reads_each_summary_once_and_csv_and_json_read_none(tmp_path, monkeypatch, capsys):
    store, read = build(tmp_path, Shape(missing=("student w14 s410 sciq 0 0",))), Counter()  # nothing to draw

    def count(path):
        read[path.parent.name] += 1
        return read_json(path)

    monkeypatch.setattr(processes, "count_processes", lambda: 1)  # what others read is not counted here
    monkeypatch.setattr(cost, "read_json", count)
    for kind in ("csv", "json"):
        assert main(["--store", str(store.root), "report", NAME, "--format", kind]) == 0
    assert not read
    write_results(store, collect(store, NAME), tmp_path / "page")
    assert read == dict.fromkeys(store.read_sweep(NAME)["stages"], 1)
    capsys.readouterr()


def test_page_and_tables_show_it(store, tmp_path):
    weak = key(store, "weak")
    summary = {
        "device": "cuda",
        "seconds": 1800.0,
        "processes": 2,
        "GPUs": 2,
        "peak RSS GB": 3.0,
        "peak memory GB": 9.5,
    }
    (store.path(weak) / "summary.json").write_text(json.dumps(summary))
    submit(store, task("1", weak))
    (_, _, row) = w2s.load(NAME, store=store.root).usage.to_pylist()
    assert row == {
        "work": "weak", "stages": 1, "tasks": 1, "asked_hours": 1.5, "used_hours": 0.5, "asked_gpu_hours": 3.0,
        "used_gpu_hours": 1.0, "asked_gb": 40.0, "used_gb": 6.0, "planned_gpu_gb": None, "used_gpu_gb": 9.5,
    }  # fmt: skip
    record = store.read_sweep(NAME)
    results = replace(collect(store, NAME), usage=usage_of(store, record))
    assert "| weak | 1 | 1 | 1.5 h | 30 min | 3.0 h | 1.0 h | 40.0 | 6.0 | 9.5 |" in as_markdown(results)
    page = render(store, results, [], page_in(store, store.sweep(NAME)))
    assert '<td class="name">weak</td><td class="n">1</td><td class="n">1</td><td class="n">1.5 h</td>' in page
    assert '<section id="usage">' not in render(store, replace(results, usage=()), [], page_in(store, tmp_path))
