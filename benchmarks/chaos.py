"""Sweeps that are disturbed on a real SLURM, and what becomes of them: nothing may be lost, nothing done twice.

    python -m benchmarks.chaos [--faults 100] [--seed 0]

Two sweeps that share stages are submitted to a cluster of four emulated nodes of their own and disturbed by random
faults at random moments; `w2s retry` goes on until nothing is missing. Rounds like this one, each with a fresh store,
follow until so many faults have hit something. Every round is held against an undisturbed run of the local launcher.
The last line has the counts; the exit status is 1 if a promise was broken.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.evidence import Trainings, lost, predictions, table, trainings
from benchmarks.faults import World
from benchmarks.grid import ROOT, tiny_grid
from benchmarks.rounds import SWEEPS, Round, say
from benchmarks.submissions import install
from tests.slurm.cluster import Cluster, ClusterError, Settings, missing
from w2s_sweep.store import Store

GRID = ["loss=xent,confidence", "finetune.epochs=90", "checkpoint_seconds=0.3"]
"""Stages of some seconds, with some checkpoints each."""
CLUSTER = Settings(nodes=4, cpus=1, gpus=0, accounting=False, slurmd_timeout=6)
"""One task at a time on each node: the machine below has few processors."""
FAULTS_A_ROUND = 25
DISK_MB = 400
"""The stores of all rounds."""


@dataclass
class Verdict:
    """Counts of all rounds."""

    hits: Counter[str] = field(default_factory=Counter[str])
    rounds: int = 0
    retries: int = 0
    stuck: int = 0
    lost: list[str] = field(default_factory=list[str])
    trained: Trainings = field(default_factory=Trainings)
    tables_differ: int = 0

    @property
    def good(self) -> bool:
        broken = (self.stuck, self.lost, self.trained.behind, self.trained.in_vain, self.tables_differ)
        return not any(broken) and self.rounds > 0

    def add(self, one: Round, peace: Store, names: Sequence[str]) -> None:
        """Hold a round that has ended against the undisturbed run."""
        self.rounds += 1
        self.retries += one.retries
        self.lost += lost(one.store, one.seen, predictions(peace))
        found = trainings(one.store)
        self.trained.begun += found.begun
        self.trained.resumed += found.resumed
        self.trained.behind += found.behind
        self.trained.in_vain += found.in_vain
        for name in names:
            command("-m", "w2s_sweep.cli", "--store", str(one.store.root), "report", name)
            self.tables_differ += table(one.store, name) != table(peace, name)

    def line(self, seconds: float) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.hits.items()) if count)
        return (
            f"{self.hits.total()} faults in {self.rounds} rounds, {seconds:.0f} s ({kinds}); {self.retries} retries; "
            f"{self.trained.begun} trainings begun, {self.trained.resumed} of them from a checkpoint; "
            f"results lost: {len(self.lost)}; stages retrained beyond their checkpoint: {len(self.trained.behind)}; "
            f"stages trained again: {len(self.trained.in_vain)}; sweeps stuck: {self.stuck}; "
            f"tables equal: {'no' if self.tables_differ or not self.rounds else 'yes'}"
        )


@contextmanager
def small_disk(folder: Path) -> Generator[Path]:
    """A disk of its own, which can be filled; where only root may mount one, a folder, and no disk is filled."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "w2s-chaos", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def command(*words: str, env: Mapping[str, str] | None = None) -> None:
    """A process that must succeed."""
    done = subprocess.run(
        [sys.executable, *words], env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900
    )
    if done.returncode:
        raise ClusterError(f"{' '.join(words[:6])} ...: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def chaos(folder: Path, faults: int, seed: int) -> Verdict:
    """Run rounds until so many faults have hit."""
    grid = [*tiny_grid(folder), *GRID]
    peace, verdict, draw = Store(folder / "undisturbed"), Verdict(), random.Random(seed)
    began = time.monotonic()
    for name, seeds in SWEEPS.items():
        command("launch.py", "-m", f"store={peace.root}", f"name={name}", seeds, *grid)
    say(f"undisturbed: {len(predictions(peace))} trained stages in {time.monotonic() - began:.0f} s")
    install(folder, str(shutil.which("sbatch")))
    with small_disk(folder / "disk") as disk, Cluster(folder / "cluster", CLUSTER) as cluster:
        os.environ.update(cluster.env())
        while verdict.hits.total() < faults:
            most = min(FAULTS_A_ROUND, faults - verdict.hits.total())
            say(f"round {verdict.rounds + 1}: {verdict.hits.total()} of {faults} faults so far")
            world = World(cluster, Store(disk / f"store-{verdict.rounds}"), draw)
            one = Round(world, folder, grid, most, verdict.hits.copy())
            try:
                one.run()
            except ClusterError as error:
                verdict.stuck += 1
                verdict.hits += one.hits
                say(str(error))
                return verdict
            verdict.hits += one.hits
            verdict.add(one, peace, list(SWEEPS))
            for text in (*verdict.lost, *verdict.trained.behind, *verdict.trained.in_vain):
                say(f"  broken: {text}")
            if not verdict.good:
                return verdict
    return verdict


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=100, help="faults that must hit something (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of faults and victims (default: 0)")
    parser.add_argument("--keep", type=Path, help="a new folder that is kept, for a look at what went wrong")
    args = parser.parse_args()
    if lacking := missing(accounting=False):
        print(f"no {', '.join(lacking)} (as root: python -m tests.slurm.cluster install)", file=sys.stderr)
        return 1
    os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the cluster must not outlive this process
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="w2s-chaos-") as own:
        folder = args.keep or Path(own)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["W2S_CACHE"] = str(folder / "cache")
        verdict = chaos(folder, args.faults, args.seed)
    print(f"chaos: {verdict.line(time.monotonic() - began)}", flush=True)
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
