"""A local sweep that is killed at random moments, by every signal: nothing stays behind, nothing is lost.

W2S_TEST_KILLS says how often for each signal; each kill costs a start of Python and torch.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.evidence import Seen, predictions, table, trainings
from tests.slurm.processes import Process, wait_until, with_variable
from w2s_sweep.store import Store

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("W2S_TEST_KILLS", "4"))
SIGNALS = [
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGKILL,
    signal.SIGQUIT,
    signal.SIGABRT,
    signal.SIGSEGV,
    signal.SIGALRM,
    signal.SIGUSR1,
]
GRID = ["seed=0,1", "finetune=full", "finetune.lr=0.003", "finetune.epochs=60", "checkpoint_seconds=0.2"]
SECONDS = 20.0
"""A kill comes so long after the start at most; a sweep that nobody kills takes about as long on a quiet machine."""
MARK = "W2S_TEST_MARK"


class Sweep:
    """One sweep of four supervisors and students and two ceilings, as a command that is typed again and again."""

    def __init__(self, store: Path, argv: list[str]):
        self.store = Store(store)
        self.words = [sys.executable, "launch.py", "-m", f"store={store}", "name=one", *argv]
        self.words += [*GRID, "threads=1", "tracker=none"]

    def start(self) -> subprocess.Popen[bytes]:
        env = os.environ | {"PYTHONPATH": str(ROOT), MARK: str(self.store.root)}
        # A session of its own, or a signal of one of its processes to its group would reach the test.
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        return subprocess.Popen(self.words, cwd=ROOT, env=env, **quiet)

    def processes(self) -> Iterator[Process]:
        """Living ones that it has started, the launcher too."""
        return (process for process, _, _ in with_variable(MARK, str(self.store.root)))


@pytest.fixture(scope="module")
def peace(tmp_path_factory, tiny_models, tiny_task):
    sweep = Sweep(tmp_path_factory.mktemp("peace") / "store", [*tiny_models, *tiny_task])
    assert sweep.start().wait(timeout=600) == 0
    return sweep.store


@pytest.mark.slow
@pytest.mark.extensive
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_sweep_that_is_killed_at_random_loses_nothing_and_leaves_no_process(
    tmp_path, tiny_models, tiny_task, peace, number
):
    draw, kills, rounds = random.Random(number), 0, 0
    while kills < KILLS:
        sweep = Sweep(tmp_path / f"store-{rounds}", [*tiny_models, *tiny_task])
        kills, rounds = kills + kill(sweep, peace, number, draw, KILLS - kills), rounds + 1
        assert sweep.start().wait(timeout=600) == 0
        assert predictions(sweep.store) == predictions(peace)
        assert table(sweep.store, "one") == table(peace, "one")
        found = trainings(sweep.store)
        assert (found.behind, found.in_vain) == ([], [])
        assert list(sweep.processes()) == []
    print(f"{number.name}: {kills} kills in {rounds} sweeps")


def kill(sweep: Sweep, peace: Store, number: signal.Signals, draw: random.Random, most: int) -> int:
    """Start and kill it so often at most, or until nothing is left to train; returns how often it was killed."""
    seen, kills = Seen(sweep.store), 0
    while kills < most and sweep_lacks(sweep, peace):
        launcher = sweep.start()
        moment = time.monotonic() + draw.uniform(0, SECONDS)
        while launcher.poll() is None and time.monotonic() < moment:
            time.sleep(0.05)
        # The launcher, or whichever of its processes; the launcher follows.
        victim = draw.choice([launcher.pid, *(process.pid for process in sweep.processes())])
        kills += launcher.poll() is None and send(victim, number)
        if victim != launcher.pid:
            time.sleep(draw.uniform(0, 1))
            send(launcher.pid, number)
        launcher.wait(timeout=120)
        wait_until(lambda: not list(sweep.processes()), 90, "the end of all its processes")
        seen.look()
        assert seen.changed() == []
    return kills


def sweep_lacks(sweep: Sweep, peace: Store) -> bool:
    """Whether something is left to train."""
    return predictions(sweep.store).keys() != predictions(peace).keys()


def send(pid: int, number: signal.Signals) -> bool:
    """Whether there was a process to kill."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
