"""Tasks that are preempted, time out or are killed go on from their checkpoints and end bit for bit the same."""

import json
import re
import signal

import pytest
from safetensors import safe_open

from tests.command import launch, sweep_record, trained
from tests.slurm.launching import FAST, SMALL, job_logs, sweep_folder
from tests.slurm.processes import find, wait_until
from w2s_sweep.cli import main as w2s
from w2s_sweep.store import Store

LONG = ["finetune.epochs=60", "checkpoint_seconds=0.2"]


@pytest.fixture(autouse=True)
def _here(slurm, monkeypatch):
    for name, value in slurm.env().items():
        monkeypatch.setenv(name, value)
    yield
    slurm.run("scancel", "--quiet", "--me")  # what a failed test left
    slurm.wait_idle()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny_models, tiny_task):
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    status, _, err = launch(f"store={store}", *tiny_models, *tiny_task, *FAST, *LONG)
    assert status == 0, err
    return trained(store)


class Running:
    """A sweep of one cell whose ceiling has begun to train and stands still until `go_on`."""

    def __init__(self, store):
        self.store = store
        self.key = sweep_record(store)["cells"][0]["roles"]["ceiling"]
        self.checkpoint = store / "work" / self.key / "checkpoint.safetensors"
        wait_until(self.checkpoint.exists, 120, "a checkpoint")
        claim = json.loads((store / "claims" / self.key).read_text())
        self.job, self.process = claim["job"], find(claim["pid"])
        self.stand_still()

    def stand_still(self):
        self.process.send(signal.SIGSTOP)
        assert not Store(self.store).is_done(self.key)

    def go_on(self):
        self.process.send(signal.SIGCONT)

    @property
    def saved(self):
        """The step of the checkpoint."""
        with safe_open(self.checkpoint, framework="pt") as file:
            return int(file.metadata()["step"])

    @property
    def begun(self):
        """The step after which training began, of every run of the stage."""
        log = (self.store / "stages" / self.key / "log.txt").read_text()
        return [int(step) for step in re.findall(r"training begins after step (\d+)", log)]

    @property
    def requeues(self):
        path = sweep_folder(self.store) / "jobs" / "submitit" / f"{self.job}.requeues"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def running(slurm, tmp_path, tiny_models, tiny_task):
    store = tmp_path / "store"
    status, _, err = launch(f"store={store}", *tiny_models, *tiny_task, *FAST, *LONG, *SMALL)
    assert status == 0, err
    return Running(store)


def finished(slurm, running, undisturbed):
    """The sweep came to its end, from a checkpoint, with the result of an undisturbed run."""
    slurm.wait_idle()
    assert trained(running.store) == undisturbed
    assert job_logs(running.store).count(json.dumps({"start": running.key})) == 2


def test_notice_of_preemption_or_of_the_time_limit(slurm, running, undisturbed):
    slurm.run("scancel", "--signal=USR2", running.job)
    running.go_on()
    finished(slurm, running, undisturbed)


def test_preemption_with_nothing_but_sigterm(slurm, running, undisturbed):
    before = running.saved
    slurm.scontrol("requeue", running.job)  # SLURM wakes what stands still, to hear SIGTERM
    wait_until(lambda: running.saved > before, 30, "a checkpoint after SIGTERM")
    running.stand_still()  # so that the training cannot end before SLURM ends the process
    saved = running.saved
    finished(slurm, running, undisturbed)
    assert running.begun[-1] == saved


def test_out_of_memory_is_tried_again_with_twice_as_much(slurm, running, undisturbed, capsys):
    before = slurm.scontrol("show", "job", running.job)
    assert "MinMemoryNode=1G" in before
    running.process.send(signal.SIGKILL)
    wait_until(lambda: "Restarts=1" in slurm.scontrol("show", "job", running.job), 30, "the requeue")
    wait_until(lambda: "MinMemoryNode=2G" in slurm.scontrol("show", "job", running.job), 30, "more memory")
    w2s(["--store", str(running.store), "status"])
    assert "lost" not in capsys.readouterr().out
    finished(slurm, running, undisturbed)
    assert running.requeues == ["memory MinMemoryNode=2048"]
