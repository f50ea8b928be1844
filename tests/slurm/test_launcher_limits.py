"""A site with limits, as a real SLURM has them: a partition with a short time, few jobs at once, nothing changed after
sbatch; and the job that tries it all first."""

import pytest

from tests.command import launch, sweep_record, trained
from tests.slurm.launching import FAST, ONE_EACH, SMALL, WAIT, starts, submissions, sweep_folder
from w2s_sweep.launch.slurm.limits import Partition, read_partitions
from w2s_sweep.launch.slurm.probe import probe, site_settings
from w2s_sweep.store import Store

LIMITS = ["hydra.launcher.partition=short", "hydra.launcher.max_submit=2", "hydra.launcher.plain=true"]


@pytest.fixture(autouse=True)
def _here(slurm, monkeypatch):
    for name, value in slurm.env().items():
        monkeypatch.setenv(name, value)
    slurm.scontrol("create", "PartitionName=short", "Nodes=ALL", "MaxTime=20", "MaxMemPerNode=9000")
    yield
    slurm.run("scancel", "--quiet", "--me")
    slurm.wait_idle()
    slurm.scontrol("delete", "PartitionName=short")


def test_a_sweep_goes_through_in_waves_of_plain_jobs(slurm, tmp_path, tiny_models, tiny_task, monkeypatch):
    monkeypatch.setattr("w2s_sweep.launch.slurm.follow.WAVE_SECONDS", 0.5)
    monkeypatch.setattr("w2s_sweep.launch.slurm.follow.QUEUE_SECONDS", 0.5)
    assert read_partitions()["short"] == Partition(False, 20, 9000, None)
    store = tmp_path / "store"
    found = probe(Store(store), site_settings([*SMALL[1:4], LIMITS[0]]), seconds=120)
    assert [(name, ok) for name, ok, _ in found] == [
        (name, True) for name in ("job", "node", "imports", "device", "store")
    ], found
    status, out, err = launch(f"store={store}", *tiny_models, *tiny_task, *FAST, *SMALL, *LIMITS, ONE_EACH, WAIT)
    assert status == 0, err
    assert "tasks get 20 and go on from their checkpoints" in out
    assert "of 3 tasks were submitted: no more than 2 may be in the queue" in out
    roles = sweep_record(store)["cells"][0]["roles"]
    assert starts(store) == dict.fromkeys((roles["weak"], roles["student"], roles["ceiling"]), 1)
    assert len(trained(store)) == 3
    waves = [len(record["tasks"]) for record in submissions(store)]  # the probe may still be ending, and counts
    assert sum(waves) == 3
    assert max(waves) <= 2
    scripts = [path.read_text() for path in (sweep_folder(store) / "jobs/submitit").glob("*_submission.sh")]
    assert all("--time=20\n" in text and "--begin" not in text for text in scripts)
