"""A stage that hangs: what tells it, what status says, and that it is ended and repeated where that was set."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launch.test_devices import ROOT, ready, rows
from w2s_sweep.errors import W2SError
from w2s_sweep.launch.local import LocalEngine
from w2s_sweep.launch.stall import LEAST_SECONDS, STALLED, Silence, patience, silent_stage
from w2s_sweep.launch.status import Queue, stage_states
from w2s_sweep.runner.companions import forget_companions, has_to_run_alone, tell_alone, tell_companions
from w2s_sweep.store import Store, acquire
from w2s_sweep.store.claim import file_system_now
from w2s_sweep.store.files import read_json, write_json

HANGS = '''"""A worker imports this: data stages hang as often as said, while their claims beat on."""
import threading
from pathlib import Path

from w2s_sweep.kinds.data import Data

HERE, RIGHT = Path(__file__).parent, Data.load


@classmethod
def load(cls):
    for number in range(TIMES):
        try:
            (HERE / f"hung-{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return lambda context: threading.Event().wait()
    return RIGHT()


Data.load = load
'''


def store_with(folder: Path, key: str, seconds_ago: float, **progress) -> Store:
    """A store in which a stage wrote its progress last, so long ago."""
    store = Store(folder / "store")
    store.prepare()
    write_json(store.work(key) / "progress.json", progress)
    then = file_system_now(store.root) - seconds_ago
    os.utime(store.work(key) / "progress.json", (then, then))
    return store


@pytest.mark.parametrize(
    ("progress", "seconds"),
    [
        (None, 600),
        ({"step": 0, "seconds": 0.0}, 600),
        ({"step": 10, "seconds": 20.0}, 600),
        ({"step": 3, "seconds": 900.0}, 1500),
        ({"step": 3, "seconds": 1.0, "earlier": 899.0}, 1500),
    ],
)
def test_patience_grows_with_the_time_that_steps_take(progress, seconds):
    assert patience(progress) == seconds


@pytest.mark.parametrize(
    ("ago", "progress", "stalled"),
    [
        (LEAST_SECONDS - 60, {"step": 3, "total": 9, "seconds": 3.0}, False),
        (LEAST_SECONDS + 60, {"step": 3, "total": 9, "seconds": 3.0}, True),
        (LEAST_SECONDS + 60, {"step": 3, "total": 9, "seconds": 900.0}, False),
        (1600, {"step": 3, "total": 9, "seconds": 900.0}, True),
    ],
)
def test_a_stage_has_stalled_after_a_silence_that_is_long_for_it(tmp_path, ago, progress, stalled):
    store = store_with(tmp_path, "k", ago, **progress)
    assert (Silence(store, file_system_now(store.root)).stalled("k") > 0) == stalled


def test_whatever_a_stage_writes_breaks_its_silence(tmp_path):
    store = store_with(tmp_path, "k", 9000, step=1, total=9, seconds=1.0)
    (store.work("k") / "attempt-1").mkdir()
    (store.work("k") / "attempt-1" / "features.bin").write_text("x")
    now = file_system_now(store.root)
    assert Silence(store, now).seconds("k") < 600
    assert Silence(store, now).seconds("absent") == 0


def test_a_stage_waits_while_those_that_train_at_the_same_time_work(tmp_path):
    store = store_with(tmp_path, "k", 9000, step=10, total=20, seconds=2000.0)
    now = file_system_now(store.root)
    tell_companions(store, ["k", "other"])
    for key in ("k", "other"):
        os.utime(store.work(key) / "companions.json", (now - 9000, now - 9000))
    assert Silence(store, now).seconds("k") > 8000
    write_json(store.work("other") / "progress.json", {"step": 10, "total": 20, "seconds": 4000.0})
    assert Silence(store, now).seconds("k") < 600
    then = now - 1500
    os.utime(store.work("other") / "progress.json", (then, then))
    assert Silence(store, now).stalled("k") == 0  # a round of both takes 600 s
    then -= 2000
    os.utime(store.work("other") / "progress.json", (then, then))
    assert Silence(store, now).stalled("k") > 3000


def test_a_look_walks_the_folder_of_each_stage_once(tmp_path, monkeypatch):
    keys = [str(number) for number in range(5)]
    for key in keys:
        store = store_with(tmp_path, key, 9000, step=1, total=9, seconds=1.0)
    tell_companions(store, keys)
    walked, rglob = [], Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda path, pattern: walked.append(path.name) or rglob(path, pattern))
    silence = Silence(store, file_system_now(store.root) + 9000)
    assert min(map(silence.stalled, keys)) > 8000
    assert sorted(walked) == keys


def test_what_ran_beside_a_stage_once_does_not_hide_that_it_hangs_alone(tmp_path):
    store = store_with(tmp_path, "k", 9000, step=1, total=9, seconds=1.0)
    tell_companions(store, ["k", "other"])
    tell_alone(store, "k")
    assert has_to_run_alone(store, "k")
    now = file_system_now(store.root)
    os.utime(store.work("k") / "companions.json", (now - 9000, now - 9000))
    assert Silence(store, now).seconds("k") > 8000
    forget_companions(store, "other")
    assert not has_to_run_alone(store, "other")
    tell_alone(store, "other")
    assert not has_to_run_alone(store, "other")


@pytest.mark.parametrize(("job", "words"), [("77_1", "`scontrol requeue 77_1` repeats"), (None, "Ctrl-C and the same")])
def test_status_says_what_has_stalled_and_what_to_do(tmp_path, monkeypatch, job, words):
    store = store_with(tmp_path, "k", 1500, step=2, total=8, seconds=10.0)
    write_json(store.sweep("one") / "sweep.json", {"name": "one", "stages": {"k": {"label": "student", "inputs": {}}}})
    if job:
        monkeypatch.setenv("SLURM_JOB_ID", job)
    lease = acquire(store, "k")
    assert lease is not None
    with lease:
        (found,) = stage_states(store, "one", lambda store, keys: Queue())
    assert (found.state, found.alive) == ("stalled", True)
    assert "2/8 (30 s left) on " in found.note
    assert "no progress for 25 minutes" in found.note
    assert words in found.note


def test_only_stages_of_the_same_job_are_ended(tmp_path, monkeypatch):
    store = store_with(tmp_path, "k", 1500, step=2, total=8, seconds=10.0)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    lease = acquire(store, "k")
    assert lease is not None
    with lease:
        assert silent_stage(store, ["k", "other"], "77", 24) == "k"
        assert silent_stage(store, ["k"], "77", 26) is None
        assert silent_stage(store, ["k"], "78", 24) is None
    assert silent_stage(store, ["k"], "77", 24) is None


@pytest.mark.slow
def test_a_task_whose_stage_hangs_is_ended(tmp_path):
    job = ready(tmp_path / "store", [rows(tmp_path, "x")], (str(tmp_path / "hangs.py"),))
    (tmp_path / "hangs.py").write_text(HANGS.replace("TIMES", "1"))
    (spec,) = [job.write_spec(pack) for pack in _packs(job)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "W2S_STALL_MINUTES": "0.02", "SLURM_JOB_ID": "7"}
    words = [sys.executable, "-m", "w2s_sweep.launch.slurm.job", str(spec)]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == STALLED
    assert "no progress for 0.02 minutes; its task is ended, to be queued again" in done.stderr


def _packs(job):
    from w2s_sweep.plan.packs import make_packs

    return make_packs(job.plan.graph, job.plan.keys("to run"), 0)


@pytest.mark.slow
@pytest.mark.parametrize("tries", [0, 1])
def test_a_local_stage_that_hangs_is_repeated_so_often(tmp_path, tries, capsys, monkeypatch):
    monkeypatch.setattr("w2s_sweep.launch.local_run.STALLS", tries)
    stages = [rows(tmp_path, "x"), rows(tmp_path, "y")]
    job = ready(tmp_path / "store", stages, (str(tmp_path / "hangs.py"),))
    (tmp_path / "hangs.py").write_text(HANGS.replace("TIMES", "1"))
    assert LocalEngine(stall_minutes=0.1).run(job)  # longer than a process takes to begin on a busy machine
    assert sorted(job.store.is_done(stage.key) for stage in stages) == [bool(tries), True]
    assert capsys.readouterr().out.count("no progress, it is repeated") == tries
    failures = [read_json(path) or {} for path in job.store.root.glob("work/*/failure.json")]
    assert [one["error"] for one in failures] == (
        [] if tries else ["the process that ran it died (ended after 0 more tries, it made no progress)."]
    )


def test_a_time_that_is_none_is_refused():
    with pytest.raises(W2SError, match=r"stall_minutes: got 0, needs to be above 0"):
        LocalEngine(stall_minutes=0)
