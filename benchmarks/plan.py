"""How long a grid of a thousand cells takes to plan, to submit with one task for each stage, and to look at.

    python -m benchmarks.plan [--cells 1000]

On the cluster of SLURM_CONF, or on one that is started for it (see tests/slurm/cluster.py); what is submitted is
cancelled at once. Everything runs as a user runs it: a process for each command, imports included. The exit status is
1 where a bound is exceeded.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.grid import ROOT, tiny_grid
from tests.slurm.cluster import Cluster, missing

LOSSES = ("xent", "confidence", "window", "entropy", "reverse_kl")
BOUNDS = {"plan": 15.0, "submission": 30.0, "status": 2.0}
"""Seconds for 1,000 cells."""


def overrides(folder: Path, cells: int) -> list[str]:
    """A grid of losses and seeds over tiny models and a tiny dataset."""
    return [
        *("-m", f"store={folder / 'store'}", "name=benchmark", *tiny_grid(folder)),
        *(f"loss={','.join(LOSSES)}", f"seed=range({cells // len(LOSSES)})"),
        *("hydra/launcher=slurm", "hydra.launcher.gpus=0", "hydra.launcher.cpus=1", "hydra.launcher.memory_gb=1"),
        *("hydra.launcher.pack_flops=0", "hydra.launcher.max_parallel=1"),
        # one role asks for more, so that there are two arrays
        "hydra.launcher.stages.student.memory_gb=2",
    ]


def timed(words: Sequence[str], env: Mapping[str, str]) -> tuple[float, str]:
    """Wall seconds of a command, and what it printed."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, *words], env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words[:4])} ...: {done.stdout}{done.stderr}")
    return time.monotonic() - began, done.stdout


@contextmanager
def slurm(folder: Path) -> Iterator[Mapping[str, str]]:
    """The environment of a cluster; nothing where there is none and none can be started."""
    if os.environ.get("SLURM_CONF"):
        yield {}
    elif missing():
        yield {"missing": ", ".join(missing())}
    else:
        with Cluster(folder / "cluster") as cluster:
            cluster.scontrol("update", "PartitionName=main", "State=DOWN")  # submitted, not run
            yield cluster.env()


def tell(what: str, seconds: float, note: str = "") -> bool:
    """Print a measurement; whether it is within its bound."""
    print(f"{what:<12} {seconds:6.2f} s  (bound {BOUNDS[what]:g} s)  {note}", flush=True)
    return seconds < BOUNDS[what]


def measure(folder: Path, cells: int) -> bool:
    """Measure and print; whether everything is within its bound."""
    argv = overrides(folder, cells)
    w2s = ["-m", "w2s_sweep.cli", "--store", str(folder / "store")]
    with slurm(folder) as found:
        env = {**os.environ, "W2S_CACHE": str(folder / "cache"), **found}
        seconds, out = timed(["launch.py", *argv, "plan_only=true"], env)
        good = tell("plan", seconds, " ".join(re.findall(r"\d+ cells.*unique", out)))
        if "missing" in found:
            print(f"no SLURM here (missing {found['missing']}): nothing was submitted")
            return good
        try:
            seconds, out = timed(["launch.py", *argv], env)
            scripts = len(list((folder / "store").glob("sweeps/*/jobs/submitit/*_submission.sh")))
            arrays, tasks, inner = re.findall(r"(\d+) arrays, (\d+) tasks:.*submitted in ([\d.]+) s", out, re.DOTALL)[0]
            note = f"planning included; {inner} s for {tasks} tasks in {arrays} arrays, {scripts} sbatch calls"
            good = tell("submission", seconds, note) and scripts <= int(arrays) and good
            seconds, out = timed([*w2s, "status", "benchmark"], env)
            return tell("status", seconds, out.splitlines()[0]) and good
        finally:
            timed([*w2s, "cancel", "benchmark"], env)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan", description=__doc__)
    parser.add_argument("--cells", type=int, default=1000, help="cells of the grid (default: 1000)")
    with tempfile.TemporaryDirectory(prefix="w2s-plan-") as folder:
        return 0 if measure(Path(folder), parser.parse_args().cells) else 1


if __name__ == "__main__":
    sys.exit(main())
