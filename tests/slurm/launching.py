"""What tests of the slurm launcher share: overrides for small tasks, and what jobs left behind."""

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

from tests.slurm.cluster import Cluster
from tests.slurm.processes import wait_until

ROOT = Path(__file__).parents[2]
FAST = ["finetune=full", "finetune.lr=0.003", "finetune.epochs=1", "threads=1", "tracker=none"]
SMALL = [
    "hydra/launcher=slurm",
    "hydra.launcher.gpus=0",
    "hydra.launcher.cpus=1",
    "hydra.launcher.memory_gb=1",
    "hydra.launcher.max_parallel=2",
    "hydra.launcher.poll_seconds=0.5",
]
WAIT = "hydra.launcher.wait=true"
ONE_EACH = "hydra.launcher.pack_flops=0"
"""A task for every stage."""


def sweep_folder(store: Path) -> Path:
    """The newest sweep."""
    paths = sorted((store / "sweeps").glob("*/sweep.json"), key=lambda path: path.stat().st_mtime)
    return paths[-1].parent


def submissions(store: Path) -> list[dict]:
    """What was written down about every submission to a store that came to its end, in order."""
    found = [json.loads(path.read_text()) for path in (store / "sweeps").glob("*/jobs/submission-*.json")]
    return sorted(found, key=lambda record: record["submitted"])


def job_logs(store: Path) -> str:
    return "".join(path.read_text() for path in sorted((store / "sweeps").glob("*/jobs/submitit/*_log.out")))


def starts(store: Path) -> Counter[str]:
    """How often each stage was started, by all jobs of a store."""
    events = [json.loads(line) for line in job_logs(store).splitlines() if line.startswith("{")]
    return Counter(event["start"] for event in events if "start" in event)


def accounted(cluster: Cluster, store: Path) -> dict[str, tuple[str, str]]:
    """Stage -> state and exit code of its job in accounting, of the newest submission with a task for each stage."""
    tasks = {task["job"]: task["stages"] for task in submissions(store)[-1]["tasks"]}
    jobs = ",".join(tasks)

    def rows() -> dict[str, tuple[str, str]]:
        out = cluster.run("sacct", "-nXP", "--format=JobID,State,ExitCode", "-j", jobs)
        lines = [line.split("|") for line in out.splitlines()]
        return {job: (state.split()[0], code) for job, state, code in lines if job in tasks}

    ended = {"COMPLETED", "FAILED", "CANCELLED"}
    wait_until(lambda: len(rows()) == len(tasks) and {s for s, _ in rows().values()} <= ended, 30, "accounting")
    return {key: row for job, row in rows().items() for key in tasks[job]}


@contextmanager
def paused(cluster: Cluster):
    """Nothing starts meanwhile."""
    cluster.scontrol("update", "PartitionName=main", "State=DOWN")
    try:
        yield
    finally:
        cluster.scontrol("update", "PartitionName=main", "State=UP")


def start(cluster: Cluster, *argv: str, root: Path = ROOT, code: str | None = None) -> subprocess.Popen[str]:
    """A command line as a process of its own, in a checkout; `code` runs before it."""
    env = {**os.environ, **cluster.env(), "PYTHONPATH": str(root)}
    main = "import sys; from w2s_sweep.launch.main import main; sys.exit(main())"
    words = [sys.executable, "-c", f"{code or 'pass'}\n{main}", *argv]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, env=env, cwd=root, stdout=pipe, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = process.communicate(timeout=300)
    return process.returncode, out
