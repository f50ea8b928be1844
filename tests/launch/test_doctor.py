"""`w2s doctor`: what is well, what is not, and what to do; each check meets something real, or its absence."""

import http.server
import os
import threading
import tomllib
from pathlib import Path

import pytest

from tests.results_store import Shape, build
from w2s_sweep.cli import main as w2s
from w2s_sweep.launch.doctor import machine, place, services
from w2s_sweep.store import Store

ROOT = Path(__file__).parents[2]
PROBED = {"version": "2.13.0", "built": "12.8", "gpus": [], "capability": "AVX2", "threads": 8}
GPU = {"name": "H200", "bytes": 141 * 2**30, "bf16": True, "failed": ""}


def levels(found):
    return [one.level for one in found]


def program(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_python_and_packages_are_those_of_the_project(monkeypatch):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == machine.PYTHONS
    assert project["name"] == machine.DISTRIBUTION
    assert levels(machine.check_python()) == ["ok"]
    monkeypatch.setattr(machine, "PYTHONS", "<3")
    (found,) = machine.check_python()
    assert (found.level, found.todo) == ("bad", "Make the environment with a Python <3.")
    assert levels(machine.check_packages()) == ["ok"]


def test_packages_that_are_missing_or_old_are_named(monkeypatch):
    monkeypatch.setattr(machine.metadata, "requires", lambda name: ["numpy>=999", "no-such-thing", "x; extra == 'dev'"])
    (found,) = machine.check_packages()
    assert found.level == "bad"
    assert "is not >=999; no-such-thing is missing" in found.said


@pytest.mark.parametrize(
    ("gpus", "there", "wanted"),
    [
        ([], [], ["ok", "ok"]),
        ([GPU], ["0"], ["ok", "ok"]),
        ([], ["0"], ["ok", "bad"]),
        ([GPU | {"failed": "no kernel image is available"}], ["0"], ["ok", "bad"]),
        ([GPU, GPU | {"bf16": False}], ["0", "1"], ["ok", "ok", "warn"]),
    ],
)
def test_what_torch_sees_is_judged_by_what_the_driver_shows(gpus, there, wanted):
    found = list(machine.judge_torch(PROBED | {"gpus": gpus}, there))
    assert levels(found) == wanted
    assert all(bool(one.todo) == (one.level != "ok") for one in found)


def test_torch_that_cannot_be_imported_or_hangs_is_bad(monkeypatch):
    monkeypatch.setattr(machine, "PROBE", "raise ImportError('libcudart.so.12')")
    (found,) = machine.check_torch()
    assert found.level == "bad"
    assert found.said == "cannot be imported: ImportError: libcudart.so.12"
    monkeypatch.setattr(machine, "PROBE", "import threading; threading.Event().wait()")
    monkeypatch.setattr(machine, "PROBE_SECONDS", 0.3)
    (found,) = machine.check_torch()
    assert found.level == "bad"
    assert "no answer in" in found.said


def test_a_store_is_tried_and_left_as_it_was(tmp_path):
    store = build(tmp_path / "store", Shape(n_test=20))
    before = sorted(store.root.rglob("*"))
    (found,) = place.check_store(store)
    assert (found.level, found.said) == ("ok", f"{store.root}: can be written, hard links work")
    assert sorted(store.root.rglob("*")) == before
    (found,) = place.check_store(Store(tmp_path / "new" / "one"))
    assert (found.level, "which the first sweep makes" in found.said) == ("ok", True)
    assert not (tmp_path / "new").exists()
    (tmp_path / "notes.txt").touch()
    (found,) = place.check_store(Store(tmp_path))
    assert (found.level, "is no store" in found.said) == ("warn", True)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder in which nobody can write")
def test_a_place_that_cannot_be_written_is_said():
    (found,) = place.check_store(Store(Path("/proc/self/store")))
    assert found.level == "bad"
    assert "cannot be written" in found.said


def test_a_full_disk_is_seen_before_a_sweep_is(tmp_path, monkeypatch):
    monkeypatch.setenv("W2S_CACHE", str(tmp_path / "cache"))
    for few, little, wanted in ((0.0, 0.0, "ok"), (0.0, 1e30, "warn"), (1e30, 1e30, "bad")):
        monkeypatch.setattr(place, "FEW_BYTES", few)
        monkeypatch.setattr(place, "LITTLE_BYTES", little)
        assert levels(place.check_disks(Store(tmp_path / "store"))) == [wanted] * 2


def test_slurm_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert levels(services.check_slurm()) == ["ok"]
    program(tmp_path, "squeue", "")
    (found,) = services.check_slurm()
    assert (found.level, found.said) == ("bad", "sbatch, scancel, scontrol, sinfo not in PATH")
    for name in services.NEEDED:
        program(tmp_path, name, 'if [ "$1" = --version ]; then echo slurm 24.05; else echo "gpu*"; echo cpu; fi')
    found = list(services.check_slurm())
    assert found[0].said == "slurm 24.05, partitions cpu, gpu"
    assert (levels(found), found[1].said) == (["ok", "warn"], "no sacct")
    program(tmp_path, "sinfo", "echo slurm_load_partitions: Unable to contact slurm controller >&2; exit 1")
    (found,) = services.check_slurm()
    assert found.level == "warn"
    assert "installed, but its controller was not reached" in found.said
    assert "Unable to contact slurm controller" in found.said


@pytest.fixture
def hub(monkeypatch):
    """A server that answers as the hub does."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    for name in ("W2S_OFFLINE", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.slow
def test_the_hub_answers_or_not_or_is_not_asked(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    (found,) = services.check_hub()
    assert (found.level, found.said.endswith("answers; logged in")) == ("ok", True)
    hub.shutdown()
    hub.server_close()
    (found,) = services.check_hub()
    assert found.level == "warn"
    assert "data_root=FOLDER" in found.todo
    monkeypatch.setenv("W2S_OFFLINE", "1")
    assert levels(services.check_hub()) == ["ok"]


@pytest.mark.slow
def test_wandb_says_whether_runs_would_arrive(monkeypatch, tmp_path):
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (found,) = services.check_wandb()
    assert found.level == "warn"
    assert "wandb login" in found.todo
    monkeypatch.setenv("WANDB_MODE", "offline")
    (found,) = services.check_wandb()
    assert found.level == "ok"
    assert "offline" in found.said


@pytest.mark.parametrize(("level", "status"), [("ok", 0), ("warn", 0), ("bad", 1)])
def test_the_command_prints_every_line_and_fails_where_something_is_bad(level, status, monkeypatch, capsys):
    found = machine.Finding(level, "gpu", "one of [three]", "Buy [another].")
    monkeypatch.setattr("w2s_sweep.launch.doctor.examine", lambda store: iter([found]))
    assert w2s(["doctor", "--store", os.devnull]) == status
    out = capsys.readouterr().out
    assert f"{level:<5}gpu        one of [three]" in out
    assert "Buy [another]." in out


@pytest.mark.slow
def test_everything_is_looked_at_on_this_machine(tmp_path, capsys):
    """With the torch that is installed, in a process of its own."""
    assert w2s(["doctor", "--store", str(tmp_path / "store")]) in (0, 1)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    level = {words[1]: words[0] for words in lines if words[0] in ("ok", "warn", "bad")}
    assert {"python", "packages", "store", "cache", "slurm", "wandb", "hub", "torch", "gpu"} == set(level)
    assert (level["python"], level["packages"], level["torch"]) == ("ok", "ok", "ok")
