"""A stage that is killed anywhere, however often, ends bit for bit as if nothing had happened, and is trained once."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.command import launch, trained
from w2s_sweep.store import Store
from w2s_sweep.store.claim import process_started
from w2s_sweep.store.files import read_json

ROOT = Path(__file__).parents[2]
KINDS = {
    "full": ["finetune=full", "finetune.lr=0.003", "finetune.epochs=60"],
    "short": ["finetune=full", "finetune.lr=0.003", "finetune.epochs=12"],
    "lora": ["finetune=lora", "finetune.lr=0.01", "finetune.epochs=40"],
}
SECONDS = 180


class Undisturbed:
    """One cell that ran in peace: what it ended with, and the job of all its trained stages."""

    def __init__(self, store: Path, argv: list[str]):
        status, _, err = launch(f"store={store}", *argv, "checkpoint_seconds=0.05", "threads=1", "tracker=none")
        assert status == 0, err
        self.store = Store(store)
        self.predictions = trained(store)
        packs = [read_json(path) for path in store.glob("sweeps/*/jobs/pack-*.json")]
        stages = {stage["key"]: stage for pack in packs if pack for stage in pack["stages"]}
        self.spec = packs[0] | {"stages": sorted(stages.values(), key=lambda s: len(s["inputs"]))}

    def again(self, folder: Path) -> "Runs":
        """The same job in another store, where only the data are finished."""
        store = Store(folder / "store")
        store.prepare()
        for key in set(self.store.keys()) - self.predictions.keys():
            store.path(key).symlink_to(self.store.path(key))
        spec = folder / "spec.json"
        spec.write_text(json.dumps(self.spec | {"store": str(store.root)}))
        return Runs(store, spec, folder / "log")


class Runs:
    """Processes for one job, one after another or at once."""

    def __init__(self, store: Store, spec: Path, log: Path):
        self.store, self.spec, self.path = store, spec, log

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        words = command or (sys.executable, "-m", "w2s_sweep.runner.worker", str(self.spec))
        with self.path.open("ab") as log:
            return subprocess.Popen(words, env=env, cwd=ROOT, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        return self.path.read_text()

    @property
    def begun(self) -> list[int]:
        """The step after which training began, of every run of a stage."""
        return [int(step) for step in re.findall(r"training begins after step (\d+)", self.log)]

    @property
    def steps(self) -> list[tuple[int, str, int]]:
        """(process, stage, step) of whatever was logged of the steps of a training, in order."""
        now: dict[str, str] = {}
        found: list[tuple[int, str, int]] = []
        for pid, key, step in re.findall(r" INFO (\d+) .*(?:: start .*\((\w+)\) on|after step (\d+))", self.log):
            if key:
                now[pid] = key
            else:
                found.append((int(pid), now[pid], int(step)))
        return found

    @property
    def starts(self) -> Counter[str]:
        return Counter(re.findall(r'^\{"start": "(\w+)"\}$', self.log, re.MULTILINE))

    def attempts(self, pattern: str = "") -> list[Path]:
        return list((self.store.root / "work").glob(f"*/attempt-*{pattern}"))

    def sound(self) -> bool:
        """Whether everything that a reader could take for a result is one."""
        return all(self.store.is_done(key) and not self.store.damage(key) for key in self.store.keys())  # noqa: SIM118

    def left_over(self) -> list[Path]:
        """Work and claims, and what a killed writer of either would have hidden there."""
        return [*(self.store.root / "work").iterdir(), *(self.store.root / "claims").iterdir()]


def wait(process: subprocess.Popen[bytes], condition, seconds: float = SECONDS) -> bool:
    """Poll until the condition holds; False if the process ends before."""
    tick = threading.Event()
    for _ in range(int(seconds / 0.002)):
        if process.poll() is not None:
            return False
        if condition():
            return True
        tick.wait(0.002)
    raise AssertionError(f"not within {seconds} s")


def kill_somewhere(runs: Runs, process: subprocess.Popen[bytes], draw: random.Random) -> bool:
    """SIGKILL a process at a random moment of a random phase; False where it ended before."""
    phase = draw.choices(["import", "start", "train", "checkpoint", "publish"], [1, 1, 6, 3, 2])[0]
    began, started = len(runs.begun), sum(runs.starts.values())
    work = runs.store.root / "work"
    moments = {
        "import": (lambda: True, 4.0),
        "start": (lambda: sum(runs.starts.values()) > started, 0.3),
        "train": (lambda: len(runs.begun) > began, 1.0),
        "checkpoint": (lambda: any(work.glob("*/.checkpoint*.part")), 0.002),
        "publish": (lambda: bool(runs.attempts("/summary.json")), 0.01),
    }
    condition, longest = moments[phase]
    if wait(process, condition):
        threading.Event().wait(draw.uniform(0, longest))
    ended = process.poll() is not None
    process.kill()
    process.wait()
    return not ended


def kill_until_done(runs: Runs, kills: int, seed: int) -> int:
    """Kill up to `kills` processes, then let one end; returns how many were killed."""
    draw, done = random.Random(seed), 0
    while done < kills:
        process = runs.start()
        if not kill_somewhere(runs, process, draw):
            if process.returncode == 0:
                return done
            raise AssertionError(runs.log[-3000:])
        done += 1
        assert runs.sound()
        assert len(runs.attempts()) <= 1
    assert runs.start().wait(SECONDS) == 0, runs.log[-3000:]
    return done


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny_models, tiny_task):
    found: dict[str, Undisturbed] = {}

    def run(kind: str) -> Undisturbed:
        if kind not in found:
            store = tmp_path_factory.mktemp(kind) / "store"
            found[kind] = Undisturbed(store, [*tiny_models, *tiny_task, *KINDS[kind]])
        return found[kind]

    return run


def check_end(runs: Runs, peace: Undisturbed) -> None:
    assert trained(runs.store.root) == peace.predictions
    assert runs.sound()
    assert runs.left_over() == []


EXTENSIVE = pytest.mark.extensive


@pytest.mark.slow
def test_killed_in_training(undisturbed, tmp_path):
    peace = undisturbed("short")
    runs = peace.again(tmp_path)
    process = runs.start()
    assert wait(process, lambda: any((runs.store.root / "work").glob("*/checkpoint.safetensors")))
    process.kill()
    process.wait()
    assert runs.start().wait(SECONDS) == 0, runs.log[-3000:]
    check_end(runs, peace)
    assert max(runs.begun) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "wanted"),
    [("lora", 3), pytest.param("lora", 30, marks=EXTENSIVE), pytest.param("full", 30, marks=EXTENSIVE)],
)
def test_killed_all_the_time(undisturbed, tmp_path, kind, wanted):
    peace = undisturbed(kind)
    kills = resumes = 0
    for number in range(10):
        runs = peace.again(tmp_path / str(number))
        kills += kill_until_done(runs, kills=wanted - kills, seed=number)
        check_end(runs, peace)
        resumes += sum(step > 0 for step in runs.begun)
        if kills >= wanted:
            break
    assert kills >= wanted
    assert resumes >= wanted // 3


@pytest.mark.slow
def test_asked_to_leave_it_saves_and_the_next_run_goes_on_from_that_step(undisturbed, tmp_path):
    peace = undisturbed("short")
    runs = peace.again(tmp_path)
    spec = json.loads(runs.spec.read_text())
    spec["run"]["checkpoint_seconds"] = 3600
    runs.spec.write_text(json.dumps(spec))
    process = runs.start()
    assert wait(process, lambda: any((runs.store.root / "work").glob("*/progress.json")))
    process.terminate()
    assert process.wait(SECONDS) == 75
    (checkpoint,) = (runs.store.root / "work").glob("*/checkpoint.safetensors")
    with safe_open(checkpoint, framework="pt") as file:
        step = int(file.metadata()["step"])
    assert step > 0
    assert runs.attempts() == []
    assert list((runs.store.root / "claims").iterdir()) == []
    assert runs.start().wait(SECONDS) == 0
    assert runs.begun[:2] == [0, step]
    check_end(runs, peace)


@pytest.mark.slow
def test_two_processes_for_one_job_train_every_stage_once(undisturbed, tmp_path):
    peace = undisturbed("short")
    runs = peace.again(tmp_path)
    both = [runs.start(), runs.start()]
    assert [process.wait(SECONDS) for process in both] == [0, 0]
    assert runs.starts == dict.fromkeys(peace.predictions, 1)
    assert runs.begun == [0] * len(peace.predictions)
    check_end(runs, peace)


TASK_THAT_IS_ORPHANED = """
import os, signal
from w2s_sweep.launch.slurm import job
from w2s_sweep.runner.context import Context

parent, saved = os.getppid(), Context.on_save
job.LOOK_SECONDS = 0.01  # no stage is over so soon

def kill_parent(context, step):
    saved(context, step)
    if os.getppid() == parent:
        os.kill(parent, signal.SIGKILL)

Context.on_save = kill_parent
job.run_job({spec!r})
"""
"""A task of SLURM whose parent dies at the first checkpoint."""


@pytest.mark.slow
def test_a_task_whose_parent_dies_saves_and_leaves(undisturbed, tmp_path):
    """What SLURM no longer sees must not go on: its requeued run would use the same devices."""
    peace = undisturbed("lora")
    runs = peace.again(tmp_path)
    task = [sys.executable, "-c", TASK_THAT_IS_ORPHANED.format(spec=str(runs.spec))]
    parent = runs.start(sys.executable, "-c", f"import subprocess; subprocess.run({task!r})")
    assert parent.wait(SECONDS) == -signal.SIGKILL
    assert runs.start().wait(SECONDS) == 0
    orphan, again = dict.fromkeys(pid for pid, *_ in runs.steps)
    assert process_started(orphan) is None
    assert runs.log.count("stopped before the end") == 1
    ((key, begun), *_, (same, left)) = [(key, step) for pid, key, step in runs.steps if pid == orphan]
    assert (begun, same) == (0, key)
    assert left > 0
    assert next(step for pid, key, step in runs.steps if (pid, key) == (again, same)) == left
    check_end(runs, peace)
