"""A local sweep that is stopped, by whatever signal: no process stays behind, and the same command goes on."""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.command import trained
from tests.slurm.processes import wait_until
from w2s_sweep.store.claim import process_started

ROOT = Path(__file__).parents[2]
LONG = ["finetune=full", "finetune.lr=0.003", "finetune.epochs=400", "threads=1", "tracker=none"]


def worker_at_work(store: Path) -> int | None:
    """Process number of the worker, once a training has made its first step."""
    if not any(path.stat().st_size for path in store.glob("work/*/metrics.jsonl")):
        return None
    logs = [path.read_text() for path in store.glob("sweeps/*/jobs/worker-*.log")]
    found = re.search(r" INFO (\d+) .* training begins after step 0", "".join(logs))
    return int(found[1]) if found else None


def heed_interrupts() -> None:
    """A shell has its background jobs ignore Ctrl-C, and what they start inherits that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_launcher_that_is_stopped_leaves_no_worker_behind(tmp_path, tiny_models, tiny_task, number):
    store = tmp_path / "store"
    words = [sys.executable, "launch.py", f"store={store}", "name=one", *tiny_models, *tiny_task, *LONG]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        words, cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed_interrupts
    )
    wait_until(lambda: worker_at_work(store) is not None, 120, "a training")
    worker = worker_at_work(store)
    assert worker is not None
    process.send_signal(number)
    out, err = process.communicate(timeout=90)
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert "saving checkpoints" in out
        assert "Run the same command to go on" in err
    wait_until(lambda: process_started(worker) is None, 60, "the end of the worker")
    assert_saved(store)


def assert_saved(store: Path) -> None:
    assert trained(store) == {}
    (work,) = [path for path in (store / "work").iterdir() if (path / "checkpoint.safetensors").is_file()]
    with safe_open(work / "checkpoint.safetensors", framework="pt") as file:  # progress.json is written now and then
        assert int(file.metadata()["step"]) > 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("setsid") is None, reason="needs setsid")
def test_a_terminal_that_is_closed_leaves_no_worker_behind(tmp_path, tiny_models, tiny_task):
    """Nothing can be printed any more when the launcher is told."""
    store = tmp_path / "store"
    words = [sys.executable, "launch.py", f"store={store}", "name=one", *tiny_models, *tiny_task, *LONG]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    terminal, there = os.openpty()
    process = subprocess.Popen(["setsid", "--ctty", *words], cwd=ROOT, env=env, stdin=there, stdout=there, stderr=there)
    os.close(there)

    def at_work() -> bool:
        while select.select([terminal], [], [], 0)[0]:  # a terminal shows what is printed
            os.read(terminal, 4096)
        return worker_at_work(store) is not None

    wait_until(at_work, 120, "a training")
    worker = worker_at_work(store)
    assert worker is not None
    os.close(terminal)
    process.wait(90)
    wait_until(lambda: process_started(worker) is None, 60, "the end of the worker")
    assert_saved(store)
