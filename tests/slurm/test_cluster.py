"""The test cluster behaves like a cluster, survives crashes of its parts, and leaves nothing behind."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm import packages
from tests.slurm.cluster import Cluster, ClusterError, Settings, main, missing
from tests.slurm.conftest import require
from tests.slurm.ports import listens
from tests.slurm.processes import PROC, Process, find, wait_until
from tests.slurm.settings import gres_conf

SECONDS = 60


def sbatch(cluster: Cluster, folder: Path, script: str, *options: str) -> str:
    """Submit a shell script that writes into the folder; returns the job id."""
    out = f"--output={folder}/%A_%a.log"
    return cluster.run("sbatch", "--parsable", out, *options, f"--wrap=cd {folder} && {script}").strip()


def until_file(path: Path) -> None:
    wait_until(lambda: path.exists() and path.stat().st_size > 0, SECONDS, f"a job to write {path}")


def accounted(cluster: Cluster, job: str) -> dict[str, str]:
    """Job or array task -> state."""
    lines = cluster.run("sacct", "-X", "-n", "-P", "-j", job, "-o", "JobID,State").splitlines()
    return {task: state for task, _, state in (line.partition("|") for line in lines)}


def belonging(cluster: Cluster) -> list[str]:
    """Commands of all processes that were started for a cluster, seen from outside."""
    found: list[str] = []
    for folder in PROC.glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(str(cluster.folder)) in environment + command and find(int(folder.name)) is not None:
            found.append(command.decode())
    return found


def test_a_job_runs_and_is_accounted(slurm: Cluster, tmp_path: Path):
    job = sbatch(slurm, tmp_path, "echo done on $SLURMD_NODENAME > out")
    slurm.wait_idle(SECONDS)
    assert (tmp_path / "out").read_text().split()[-1] in slurm.nodes
    wait_until(lambda: accounted(slurm, job) == {job: "COMPLETED"}, SECONDS, f"sacct to show {job}")


def test_tasks_of_a_held_array_get_dependencies_of_their_own(slurm: Cluster, tmp_path: Path):
    """Task 2 waits for 0 and 1, task 1 fails, so 2 is cancelled; task 3 waits for 0 and runs."""
    script = "echo $SLURM_ARRAY_TASK_ID >> order; exit $(( SLURM_ARRAY_TASK_ID == 1 ))"
    job = sbatch(slurm, tmp_path, script, "--array=0-3", "--hold", "--kill-on-invalid-dep=yes")
    slurm.scontrol("update", f"jobid={job}_2", f"dependency=afterok:{job}_0:{job}_1")
    slurm.scontrol("update", f"jobid={job}_3", f"dependency=afterok:{job}_0")
    slurm.scontrol("release", job)
    slurm.wait_idle(SECONDS)
    order = (tmp_path / "order").read_text().split()
    assert sorted(order) == ["0", "1", "3"]
    assert order.index("0") < order.index("3")
    states = {f"{job}_0": "COMPLETED", f"{job}_1": "FAILED", f"{job}_2": "CANCELLED", f"{job}_3": "COMPLETED"}
    wait_until(lambda: accounted(slurm, job) == states, SECONDS, f"sacct to show {states}")


def test_gpus_are_arbitrated_and_shown_to_jobs(slurm: Cluster, tmp_path: Path):
    """Jobs that want both GPUs of one node never overlap (mkdir would fail); more than there are is refused."""
    script = "mkdir busy && echo $CUDA_VISIBLE_DEVICES >> seen; sleep 0.2; rmdir busy"
    for _ in range(3):
        sbatch(slurm, tmp_path, script, "--gres=gpu:2", f"--nodelist={slurm.nodes[0]}")
    slurm.wait_idle(SECONDS)
    assert (tmp_path / "seen").read_text().split() == ["0,1"] * 3
    with pytest.raises(ClusterError, match="sbatch"):
        sbatch(slurm, tmp_path, "true", "--gres=gpu:3")


PREEMPTED = """\
echo ${SLURM_RESTART_COUNT:-0} >> runs
[ ${SLURM_RESTART_COUNT:-0} = 0 ] || exit 0
srun bash -c 'trap "echo asked > asked" USR2; echo up > up; until [ -e asked ]; do sleep 0.1; done'
scontrol requeue $SLURM_JOB_ID
"""


def test_a_job_of_the_low_partition_is_preempted_and_runs_again(slurm: Cluster, tmp_path: Path):
    """It gets the signal it wants notice by; the requeued job has the same id and knows that it was restarted."""
    whole = ("--exclusive", f"--nodelist={slurm.nodes[1]}")
    job = sbatch(slurm, tmp_path, PREEMPTED, "--partition=low", "--requeue", "--signal=USR2@60", *whole)
    until_file(tmp_path / "up")
    sbatch(slurm, tmp_path, "cp runs runs_then", "--partition=high", *whole)
    slurm.wait_idle(SECONDS)
    assert (tmp_path / "asked").exists()
    assert (tmp_path / "runs_then").read_text().split() == ["0"]
    assert (tmp_path / "runs").read_text().split() == ["0", "1"]
    wait_until(lambda: accounted(slurm, job) == {job: "COMPLETED"}, SECONDS, f"sacct to show {job}")


def test_without_accounting_jobs_run_and_sacct_says_so(slurm_without_accounting: Cluster, tmp_path: Path):
    sbatch(slurm_without_accounting, tmp_path, "echo done > out", "--gres=gpu:1")
    slurm_without_accounting.wait_idle(SECONDS)
    assert (tmp_path / "out").read_text() == "done\n"
    with pytest.raises(ClusterError, match="accounting storage is disabled"):
        slurm_without_accounting.run("sacct")


def test_a_job_survives_the_crash_of_its_slurmd(own_cluster: Cluster, tmp_path: Path):
    node = own_cluster.nodes[1]
    wait_for_go = "echo up > up; until [ -e go ]; do sleep 0.1; done; echo end > end"
    sbatch(own_cluster, tmp_path, f"bash -c {shlex.quote(wait_for_go)}", f"--nodelist={node}")
    until_file(tmp_path / "up")
    own_cluster.crash(f"slurmd.{node}")
    (tmp_path / "go").touch()
    until_file(tmp_path / "end")
    own_cluster.restart(f"slurmd.{node}")
    own_cluster.wait_idle(SECONDS)


def test_the_queue_survives_the_crash_of_slurmctld(own_cluster: Cluster, tmp_path: Path):
    """What the controller has saved is there again: a held job keeps its id and runs when it is released."""
    job = sbatch(own_cluster, tmp_path, "echo ran > out", "--hold")
    saved = own_cluster.folder / "state" / "job_state"
    wait_until(lambda: saved.exists() and os.fsencode(str(tmp_path)) in saved.read_bytes(), SECONDS, "the state save")
    own_cluster.crash("slurmctld")
    wait_until(lambda: not listens(own_cluster.place.port), SECONDS, "the port of the controller to close")
    own_cluster.restart("slurmctld")
    assert own_cluster.run("squeue", "-h", "-o", "%i").split() == [job]
    own_cluster.scontrol("release", job)
    own_cluster.wait_idle(SECONDS)
    assert (tmp_path / "out").read_text() == "ran\n"


def test_clusters_run_side_by_side(slurm_without_accounting: Cluster, own_cluster: Cluster, tmp_path: Path):
    held = sbatch(own_cluster, tmp_path, "true", "--hold")
    assert own_cluster.run("squeue", "-h", "-o", "%i").split() == [held]
    assert slurm_without_accounting.run("squeue", "-h").split() == []
    own_cluster.stop()
    assert "is UP" in slurm_without_accounting.scontrol("ping")


def test_stop_leaves_no_process_behind(tmp_path: Path):
    """Also when the controller is gone, and with a job that put a process of its own in the background.

    The folder's name is too long for sockets.
    """
    require(missing(accounting=False))
    cluster = Cluster(tmp_path / ("long" * 20), Settings(nodes=2, accounting=False))
    with cluster:
        assert cluster.place.sockets != cluster.folder
        sbatch(cluster, tmp_path, "setsid --fork sleep 1000; echo up > up; sleep 1000")
        until_file(tmp_path / "up")
        assert [command for command in belonging(cluster) if "sleep" in command]
        cluster.crash("slurmctld")
    assert belonging(cluster) == []
    assert not cluster.place.sockets.exists()
    cluster.stop()


def test_a_start_that_fails_stops_what_it_started(tmp_path: Path):
    require(missing(accounting=False))
    cluster = Cluster(tmp_path / "own", Settings(nodes=1, accounting=False, extra=("Nonsense=1",)))
    with pytest.raises(ClusterError, match=r"slurmctld: status 1: .*Nonsense"):
        cluster.start()
    assert belonging(cluster) == []


def test_the_command_line_starts_and_stops_a_cluster_that_outlives_it(tmp_path: Path):
    require(missing(accounting=False))
    folder = tmp_path / "own"

    def command(action: str, *arguments: str) -> str:
        line = [sys.executable, "-m", "tests.slurm.cluster", action, str(folder), *arguments]
        return subprocess.run(line, capture_output=True, text=True, check=True, timeout=120).stdout

    command("start", "--nodes=1", "--gpus=0", "--no-accounting", "--no-munge")
    try:
        with pytest.raises(ClusterError, match="already run here"):
            Cluster(folder).start()
        before = Cluster(folder)._daemons.recorded["slurmd.n1"]
        command("crash", "slurmd.n1")
        assert not before.alive
        command("restart", "slurmd.n1")
        shell = f"{command('env')}\nsrun hostname"
        clean = {"PATH": os.environ["PATH"]}
        assert subprocess.run(["bash", "-c", shell], env=clean, capture_output=True, timeout=60, check=True).stdout
    finally:
        command("stop")
    assert belonging(Cluster(folder)) == []


def test_errors_say_what_is_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "state").mkdir()
    assert main(["start", str(tmp_path)]) == 1
    assert main(["stop", str(tmp_path)]) == 1
    assert main(["crash", str(tmp_path / "none"), "slurmctld"]) == 1
    assert capsys.readouterr().err.count("error: ") == 3
    with pytest.raises(ClusterError, match="Allowed: 0 to"):
        gres_conf(Settings(gpus=99))


def test_missing_programs_skip_unless_slurm_is_required(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("W2S_REQUIRE_SLURM", raising=False)
    with pytest.raises(pytest.skip.Exception, match="slurmd"):
        require(["slurmd"])
    monkeypatch.setenv("W2S_REQUIRE_SLURM", "1")
    with pytest.raises(pytest.fail.Exception, match="slurmd"):
        require(["slurmd"])


@pytest.mark.parametrize("present", [False, True])
def test_services_are_forbidden_only_while_packages_are_installed(
    present: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(packages, "POLICY", policy)
    if present:
        policy.write_text("#!/bin/sh\nexit 104\n")
        policy.chmod(0o755)
    with packages.no_services():
        assert subprocess.run([policy], check=False).returncode == (104 if present else 101)
    assert policy.exists() == present


def test_a_pid_that_was_taken_over_is_not_ours():
    own = find(os.getpid())
    assert own is not None
    assert own.alive
    assert not Process(own.pid, own.started - 1).alive
