"""A sweep of this machine that was stopped, or is to be: what status says, and `w2s cancel`."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.users import BOB, reachable_folder, run_as
from w2s_sweep.cli import main as w2s
from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.control import cancel, keep
from w2s_sweep.launch.status import stage_states
from w2s_sweep.store import Store, acquire
from w2s_sweep.store.files import read_json, write_json

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, threading
from pathlib import Path
from w2s_sweep.store import Store, acquire
with acquire(Store(Path(sys.argv[1])), "sweep-one"):
    print("held", flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def store(tmp_path):
    """A sweep of a supervisor and a student."""
    found = Store(tmp_path / "store")
    found.prepare()
    stages = {"a": {"label": "weak", "inputs": {}}, "b": {"label": "student", "inputs": {"weak": "a"}}}
    write_json(found.sweep("one") / "sweep.json", {"name": "one", "stages": stages})
    return found


def test_what_a_stopped_command_began_is_interrupted_and_says_what_to_type(store):
    write_json(store.work("a") / "progress.json", {"step": 2, "total": 8, "seconds": 10.0})
    (store.work("a") / "log.txt").write_text("start weak")
    first, second = stage_states(store, "one")
    assert (first.state, first.alive) == ("interrupted", False)
    assert first.note == "2/8 (30 s left) nobody is at it; `w2s retry one` goes on from its checkpoint"
    assert (second.state, second.note) == ("waiting", "needs weak, which is interrupted")


def test_what_was_never_begun_waits(store):
    assert [state.state for state in stage_states(store, "one")] == ["waiting", "waiting"]


def test_cancel_ends_the_command_that_runs_a_sweep_here(store, capsys):
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, store.root], env=env, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == b"held\n"
        assert w2s(["--store", str(store.root), "cancel", "one"]) == 0
        assert f"process {holder.pid} of this machine saves and leaves" in capsys.readouterr().out
        assert holder.wait(timeout=60) == -signal.SIGTERM


def test_a_sweep_of_another_machine_is_stopped_there(store):
    lease = acquire(store, "sweep-one")
    assert lease is not None
    with lease:
        record = read_json(store.claim_path("sweep-one")) or {}
        write_json(store.claim_path("sweep-one"), record | {"host": "elsewhere", "pid": 77})
        with pytest.raises(LaunchError, match="it runs on elsewhere, process 77"):
            cancel(store, "one")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_another_users_command_is_theirs_to_stop(store):
    """A member of the group reads the claim; only its owner, or root, may signal the process."""
    with acquire(store, "sweep-one") as lease, reachable_folder() as folder:
        shutil.copytree(store.root, folder / "store")
        (folder / "store" / "claims" / lease.path.name).chmod(0o644)
        said = run_as(BOB, lambda: cancel(Store(folder / "store"), "one"))
    assert isinstance(said, LaunchError)
    assert str(said) == f"sweep one: process {os.getpid()} is another user's, who has to stop it."


def test_a_sweep_of_this_machine_is_not_kept(store):
    with pytest.raises(LaunchError, match=r"it runs on this machine\. `w2s retry one` goes on with it"):
        keep(store, "one", once=True)


def test_nothing_that_runs_is_told(store):
    with pytest.raises(LaunchError, match="in SLURM or on this machine"):
        cancel(store, "one")
