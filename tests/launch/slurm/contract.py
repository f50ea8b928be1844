"""What the launcher relies on in SLURM, asked of the stand-in (test_contract.py) and of a real one (tests/slurm)."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.slurm.processes import wait_until
from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.slurm import commands

PLAIN = {"job-name": "w2s-0-0", "mem": "1GB", "time": "30", "requeue": None, "kill-on-invalid-dep": "yes"}
LATER = {"begin": "now+7days"}
SECONDS = 30


def sbatch(folder: Path, **more: str | None) -> str:
    """Submit a script that does not end by itself; returns the job. RuntimeError in SLURM's words."""
    options = PLAIN | {name.replace("_", "-"): value for name, value in more.items()} | {"output": "/dev/null"}
    lines = [f"#SBATCH --{name}" + ("" if value is None else f"={value}") for name, value in options.items()]
    script = folder / "script.sh"
    script.write_text("\n".join(["#!/bin/bash", *lines, "exec sleep 1000", ""]))
    done = subprocess.run(["sbatch", script], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    assert done.stdout.startswith("Submitted batch job ")
    return done.stdout.split()[-1]


def queue(job: str) -> dict[int, str]:
    """Task -> state, or the reason why it is pending."""
    tasks = [task for task in commands.queue().values() if task.job.startswith(f"{job}_")]
    return {int(t.job.partition("_")[2]): t.reason if t.state == "PENDING" else t.state for t in tasks}


def until(job: str, wanted: dict[int, str]) -> None:
    wait_until(lambda: queue(job) == wanted, SECONDS, f"{job} to be {wanted}")


def tasks_for_later_wait_for_a_release(folder: Path) -> None:
    job = sbatch(folder, array="0-2%2", **LATER)
    found = [task for task in commands.queue().values() if task.job.startswith(job)]
    assert sorted(task.job for task in found) == [f"{job}_{i}" for i in range(3)]
    assert {(task.name, task.state, task.left, task.unreleased) for task in found} == {
        ("w2s-0-0", "PENDING", "30:00", True)
    }
    until(job, dict.fromkeys(range(3), "BeginTime"))
    commands.release([job])
    until(job, {0: "RUNNING", 1: "RUNNING", 2: "JobArrayTaskLimit"})
    assert 0 <= commands.queue()[f"{job}_0"].running_seconds < SECONDS


def a_chain_in_an_array_is_taken_from_its_end_alone(folder: Path) -> None:
    job = sbatch(folder, array="0-2", **LATER)
    chain = {f"{job}_1": f"afterok:{job}_0", f"{job}_2": f"afterok:{job}_1"}
    commands.set_dependencies(chain)
    commands.cancel([job])
    job = sbatch(folder, array="0-2", **LATER)
    chain = {f"{job}_2": f"afterok:{job}_1", f"{job}_1": f"afterok:{job}_0"}
    with pytest.raises(LaunchError, match="Circular job dependency"):
        commands.set_dependencies(chain)


def what_waits_for_a_task_that_is_cancelled_is_cancelled(folder: Path) -> None:
    job = sbatch(folder, array="0-3", **LATER)
    commands.set_dependencies(
        {f"{job}_1": f"afterok:{job}_0", f"{job}_2": f"afterok:{job}_1", f"{job}_3": f"afterany:{job}_2"}
    )
    until(job, {0: "BeginTime", 1: "Dependency", 2: "Dependency", 3: "Dependency"})
    commands.release([job])
    until(job, {0: "RUNNING", 1: "Dependency", 2: "Dependency", 3: "Dependency"})
    commands.cancel([f"{job}_0"])
    until(job, {3: "RUNNING"})
    ends = {f"{job}_{i}": "w2s-0-0" for i in range(3)}
    wait_until(lambda: len(commands.endings(ends)) == 3, SECONDS, "accounting")
    assert {end.split()[0] for end in commands.endings(ends).values()} == {"CANCELLED"}


def a_running_task_takes_no_dependency(folder: Path) -> None:
    job = sbatch(folder, array="0-1")
    until(job, {0: "RUNNING", 1: "RUNNING"})
    with pytest.raises(LaunchError, match="Job is no longer pending execution"):
        commands.set_dependencies({f"{job}_1": f"afterok:{job}_0"})


def what_waits_goes_on_waiting_while_a_task_is_queued_again(folder: Path) -> None:
    job = sbatch(folder, array="0-1", **LATER)
    commands.set_dependencies({f"{job}_1": f"afterok:{job}_0"})
    commands.release([job])
    until(job, {0: "RUNNING", 1: "Dependency"})
    commands.requeue([f"{job}_0"])
    until(job, {0: "BeginTime", 1: "Dependency"})
    assert not commands.queue()[f"{job}_0"].unreleased
    assert "Restarts=1 " in commands.run(["scontrol", "show", "job", f"{job}_0"])


def a_job_that_is_not_there_is_refused_but_by_scancel(folder: Path) -> None:
    for change in (commands.release, commands.unhold, commands.requeue):
        with pytest.raises(LaunchError, match="Invalid job id specified"):
            change(["9"])
    commands.cancel(["9"])
    assert commands.endings({"9": "w2s"}) == {}
    job = sbatch(folder, dependency="afterok:9")
    wait_until(lambda: commands.queue()[job].state == "RUNNING", SECONDS, "a job that waits for one that is not there")


def one_line_that_is_refused_stops_no_other(folder: Path) -> None:
    job = sbatch(folder, array="0-1", **LATER)
    with pytest.raises(LaunchError, match="Invalid job id specified"):
        commands.set_dependencies({f"{job}_1": f"afterok:{job}_0", "9": f"afterok:{job}_0"})
    until(job, {0: "BeginTime", 1: "Dependency"})


def arrays_have_a_longest_length(folder: Path) -> None:
    most = commands.cluster_config().max_array_size
    commands.cancel([sbatch(folder, array=f"0-{most - 1}", **LATER)])
    with pytest.raises(RuntimeError, match="Invalid job array specification"):
        sbatch(folder, array=f"0-{most}", **LATER)


def what_no_node_has_is_refused_unless_it_is_on_hold(folder: Path) -> None:
    for asked in ({"mem": "900000GB"}, {"gpus_per_node": "9"}):
        with pytest.raises(RuntimeError, match="Requested node configuration is not available"):
            sbatch(folder, **LATER, **asked)
        assert sbatch(folder, hold=None, **asked)


CHECKS: list[Callable[[Path], None]] = [
    tasks_for_later_wait_for_a_release,
    a_chain_in_an_array_is_taken_from_its_end_alone,
    what_waits_for_a_task_that_is_cancelled_is_cancelled,
    a_running_task_takes_no_dependency,
    what_waits_goes_on_waiting_while_a_task_is_queued_again,
    a_job_that_is_not_there_is_refused_but_by_scancel,
    one_line_that_is_refused_stops_no_other,
    arrays_have_a_longest_length,
    what_no_node_has_is_refused_unless_it_is_on_hold,
]
