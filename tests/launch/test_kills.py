"""A local sweep that is killed at random moments, by every signal: nothing stays behind, nothing is lost.

W2S_TEST_KILLS says how often for each signal, and W2S_TEST_SEED draws other moments. The launcher outlives its workers
and starts others, so that most kills cost the start of a worker alone.
"""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.evidence import Seen, predictions, table, trainings
from tests.slurm import processes
from tests.slurm.processes import Process, wait_until, with_variable
from w2s_sweep.store import Store

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("W2S_TEST_KILLS", "4"))
SEED = int(os.environ.get("W2S_TEST_SEED", "0"))
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
GRID = ["seed=0,1,2", "finetune=full", "finetune.lr=0.003", "finetune.epochs=40", "checkpoint_seconds=0.2"]
GAP_SECONDS = 2.0
"""Mean time from one kill to the next, beside the start of a worker."""
LAUNCHER = 1 / 10
"""Share of kills that hit the launcher."""
MARK = "W2S_TEST_MARK"


class Sweep:
    """One sweep of three supervisors, students and ceilings, as a command that is typed again and again."""

    def __init__(self, store: Path, argv: list[str]):
        self.store = Store(store)
        self.words = [sys.executable, "launch.py", "-m", f"store={store}", "name=one", *argv]
        self.words += [*GRID, "hydra.launcher.processes=2", "threads=1", "tracker=none"]

    def start(self) -> subprocess.Popen[bytes]:
        env = os.environ | {"PYTHONPATH": str(ROOT), MARK: str(self.store.root)}
        # A session of its own, or a signal of one of its processes to its group would reach the test.
        null = subprocess.DEVNULL
        return subprocess.Popen(self.words, cwd=ROOT, env=env, stdout=null, stderr=null, start_new_session=True)

    def processes(self) -> Iterator[Process]:
        """Living ones that it has started, the launcher too."""
        return (process for process, _, _ in with_variable(MARK, str(self.store.root)))


@pytest.fixture(scope="module")
def peace(tmp_path_factory, tiny_models, tiny_task):
    """The store of a sweep that nobody killed."""
    sweep = Sweep(tmp_path_factory.mktemp("peace") / "store", [*tiny_models, *tiny_task])
    assert sweep.start().wait(timeout=600) == 0
    return sweep.store


@pytest.fixture(autouse=True)
def _leave_nothing(tmp_path):
    """A test that fails ends what it has started."""
    yield
    for folder in tmp_path.glob("store-*"):
        processes.kill(process for process, _, _ in with_variable(MARK, str(folder)))


@pytest.mark.slow
@pytest.mark.extensive
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_sweep_that_is_killed_at_random_loses_nothing_and_leaves_no_process(
    tmp_path, tiny_models, tiny_task, peace, number
):
    draw, kills, rounds = random.Random(1000 * SEED + number), 0, 0
    while kills < KILLS:
        sweep = Sweep(tmp_path / f"store-{rounds}", [*tiny_models, *tiny_task])
        kills, rounds = kills + kill(sweep, peace, number, draw, KILLS - kills), rounds + 1
        assert sweep.start().wait(timeout=600) == 0
        assert predictions(sweep.store) == predictions(peace)
        assert table(sweep.store, "one") == table(peace, "one")
        found = trainings(sweep.store)
        assert (found.behind, found.in_vain) == ([], [])
        assert list(sweep.processes()) == []
        print(f"{number.name}: {kills} kills in {rounds} sweeps", flush=True)


def kill(sweep: Sweep, whole: Store, number: signal.Signals, draw: random.Random, most: int) -> int:
    """Start it and kill what it consists of, again and again, until nothing is left to train; returns the kills."""
    seen, kills = Seen(sweep.store), 0
    while kills < most and sweep_lacks(sweep, whole):
        launcher = sweep.start()
        while launcher.poll() is None and kills < most:
            wait(launcher, draw.expovariate(1 / GAP_SECONDS))
            workers = [process.pid for process in sweep.processes() if process.pid != launcher.pid]
            at_launcher = draw.random() < LAUNCHER
            if at_launcher or workers:
                kills += send(launcher.pid if at_launcher else draw.choice(workers), number)
            if at_launcher:
                break
        else:
            if launcher.poll() is None:
                kills += send(launcher.pid, number)
        launcher.wait(timeout=120)
        wait_until(lambda: not list(sweep.processes()), 90, "the end of all its processes")
        seen.look()
        assert seen.changed() == []
    return kills


def wait(launcher: "subprocess.Popen[bytes]", seconds: float) -> None:
    """So long, or until it ends."""
    with suppress(subprocess.TimeoutExpired):
        launcher.wait(seconds)


def sweep_lacks(sweep: Sweep, whole: Store) -> bool:
    """Whether something is left to train."""
    return predictions(sweep.store).keys() != predictions(whole).keys()


def send(pid: int, number: signal.Signals) -> bool:
    """Whether there was a process to kill."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
