"""One job before thousands: what it is given, what it says of its node, and what is said where it says nothing."""

import shlex
from types import SimpleNamespace

import pytest

from w2s_sweep.errors import ConfigError
from w2s_sweep.launch.doctor.jobs import check_job
from w2s_sweep.launch.slurm.probe import look, main, probe, site_settings
from w2s_sweep.launch.slurm.settings import Settings
from w2s_sweep.store import Store

JOB = "101"


@pytest.fixture
def meanwhile(monkeypatch):
    """Let something happen whenever the prober pauses; each pause takes a minute."""

    def let(*happens):
        left, clock = list(happens), SimpleNamespace(now=0.0)

        def pause(seconds):
            clock.now += 60
            left.pop(0)() if left else None

        fake = SimpleNamespace(sleep=pause, monotonic=lambda: clock.now)
        monkeypatch.setattr("w2s_sweep.launch.slurm.probe.time", fake)

    return let


def scripts(store):
    (path,) = store.root.glob("code/*/probe/probe.sh")
    return path


def test_a_node_that_has_all_says_so(sweeps, cluster, meanwhile, monkeypatch):
    monkeypatch.setenv("W2S_GPUS", "0")

    def run():
        cluster.start(JOB)
        line = scripts(sweeps.store).read_text().splitlines()[-1]
        main(*shlex.split(line)[3:])
        cluster.end(JOB)

    meanwhile(run)
    found = {name: (ok, text) for name, ok, text in probe(sweeps.store, Settings(gpus=0, setup=("export A=1",)))}
    assert {name: ok for name, (ok, _) in found.items()} == dict.fromkeys(
        ("job", "node", "imports", "device", "store"), True
    )
    assert found["device"][1] in ("cpu", "mps", "cuda:0")
    assert "export A=1" in scripts(sweeps.store).read_text()


def test_it_asks_for_what_tasks_ask_for(sweeps, cluster, meanwhile):
    meanwhile()
    options = {"gres": "gpu:a100:{gpus}", "mem": None}
    probe(sweeps.store, Settings(partition="gpu", account="physics", sbatch=options))
    text = scripts(sweeps.store).read_text()
    assert "#SBATCH --partition=gpu\n" in text
    assert "#SBATCH --gres=gpu:a100:1\n" in text
    assert "--mem" not in text
    assert "--gpus-per-node" not in text


def test_a_refusal_of_sbatch_is_the_answer(sweeps, cluster):
    cluster.fail("sbatch", "Invalid partition name specified")
    ((name, ok, text),) = probe(sweeps.store, Settings(partition="nope"))
    assert (name, ok) == ("job", False)
    assert "Invalid partition name specified" in text


def test_a_job_that_dies_without_a_report_is_told_with_its_last_words(sweeps, cluster, meanwhile):
    def die():
        cluster.start(JOB)
        scripts(sweeps.store).with_name("log.txt").write_text("bash: no such python\n")
        cluster.end(JOB, "FAILED", "127:0")

    meanwhile(die)
    name, ok, text = probe(sweeps.store, Settings())[-1]
    assert (name, ok) == ("job", False)
    assert "bash: no such python" in text
    assert "on the file system of the nodes?" in text


def test_a_job_that_does_not_start_is_cancelled_and_says_why(sweeps, cluster, meanwhile):
    meanwhile(lambda: setattr(cluster.task(JOB), "held", "AssocGrpGRES"))
    name, ok, text = probe(sweeps.store, Settings(), seconds=200)[-1]
    assert (name, ok) == ("job", False)
    assert "it did not run in 200 s (AssocGrpGRES)" in text
    assert "hydra.launcher.account" in text
    assert cluster.queue == {}


def test_what_a_node_lacks_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("W2S_GPUS", "0")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = {name: (ok, text) for name, ok, text in look(Store(tmp_path / "nowhere"), gpus=1)}
    assert not found["store"][0]
    assert "Nodes must have the store, your user and its groups" in found["store"][1]
    assert not found["device"][0]
    assert "was given 1 GPU" in found["device"][1]


@pytest.mark.usefixtures("composing")
def test_the_doctor_says_what_the_job_says(sweeps, cluster):
    cluster.fail("sbatch", "Invalid account or account/partition combination specified")
    (found,) = check_job(sweeps.store, ["hydra.launcher.account=nope"])
    assert (found.level, found.about) == ("bad", "job")
    assert "--account=nope" in str(cluster.calls("sbatch")[0])
    assert "Invalid account" in found.said


@pytest.mark.usefixtures("composing")
def test_settings_are_those_of_a_command_on_this_site():
    assert site_settings(["hydra.launcher.partition=gpu"]).partition == "gpu"
    with pytest.raises(ConfigError, match="partitoin"):
        site_settings(["hydra.launcher.partitoin=gpu"])
