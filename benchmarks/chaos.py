"""Sweeps that are disturbed on a real SLURM, and what becomes of them: nothing may be lost, nothing done twice.

    python -m benchmarks.chaos [--faults 100] [--seed 0] [--minutes 20] [--scene "two users"]

Two sweeps that share stages are submitted to a cluster of four emulated nodes and disturbed by random faults at random
moments; `w2s retry` goes on until nothing is missing. Rounds like this one, each with a fresh store and cluster,
follow until so many faults have hit something: by turns of one user, of two users of one store (whose jobs the other
may see, or may not), and of two clusters on one file system. Every round is held against an undisturbed run of the
local launcher. As root the run has mounts and users that nobody else sees; without, faults that need them are left
out. The last line has the counts; the exit status is 1 if a promise was broken.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.evidence import Trainings, lost, predictions, table, trainings
from benchmarks.faults import World
from benchmarks.grid import tiny_grid
from benchmarks.people import SCENES, Person, Scene, disk_of_its_own, isolate, make_users
from benchmarks.rounds import SEEDS, SWEEPS, Round, say
from benchmarks.submissions import install
from tests.slurm.cluster import Cluster, ClusterError, Settings, missing
from tests.users import ANN, BOB, GROUP
from w2s_sweep.store import Store

GRID = ["loss=xent,confidence", "finetune.epochs=50", "checkpoint_seconds=0.3"]
"""Stages of some seconds, with some checkpoints each."""
CLUSTER = Settings(nodes=4, cpus=1, gpus=0, accounting=False, slurmd_timeout=6)
"""One task at a time on each node: the machine below has few processors."""
FAULTS_A_ROUND = 25
PEACE = "undisturbed"
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

    def add(self, one: Round, peace: Store) -> None:
        """Hold a round that has ended against the undisturbed run."""
        self.rounds += 1
        self.retries += one.retries
        self.lost += lost(one.store, one.seen, predictions(peace))
        found = trainings(one.store)
        self.trained.begun += found.begun
        self.trained.resumed += found.resumed
        self.trained.behind += found.behind
        self.trained.in_vain += found.in_vain
        self.tables_differ += sum(table(one.store, name) != table(peace, PEACE) for name in SWEEPS)

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
def clusters(folder: Path, scene: Scene) -> Generator[list[Cluster]]:
    """Fresh ones, on which nothing runs."""
    settings = replace(CLUSTER, extra=scene.config)
    names = ("here", "there") if scene.clusters else ("here",)
    with ExitStack() as stack:
        each = replace(settings, nodes=CLUSTER.nodes // len(names))
        yield [stack.enter_context(Cluster(folder / name, replace(each, name=name))) for name in names]


def cast(folder: Path, scene: Scene, found: Sequence[Cluster]) -> dict[str, Person]:
    """Sweep -> who types its commands."""
    users = (ANN, BOB) if scene.users else (None, None)
    return {
        name: Person(found[i % len(found)], folder, user)
        for i, (name, user) in enumerate(zip(SWEEPS, users, strict=True))
    }


def scenes(folder: Path, named: Sequence[str]) -> list[Scene]:
    """Those that can be shown here, or those of them that are named, in this order; SystemExit where none can be."""
    users = make_users(folder)
    if not users:
        say("no second user: that needs root, unshare, and a checkout and a Python that others can reach")
    chosen = sorted(SCENES, key=lambda scene: named.index(scene.name) if scene.name in named else -1)
    shown = [scene for scene in chosen if (users or not scene.users) and (not named or scene.name in named)]
    if not shown:
        raise SystemExit(f"--scene: {', '.join(named)} cannot be shown here without a second user; name another one.")
    return shown


def chaos(folder: Path, faults: int, seed: int, minutes: float, named: Sequence[str]) -> Verdict:
    """Run rounds until so many faults have hit, or the time is over."""
    grid = [*tiny_grid(folder), *GRID]
    for path in (path for path in folder.rglob("*") if path.is_file()):
        path.chmod(0o644)  # weights are written for their owner alone
    shown = scenes(folder, named)
    peace, verdict, draw = Store(folder / "undisturbed"), Verdict(), random.Random(seed)
    began = time.monotonic()
    here = ("hydra.launcher.processes=2", f"store={peace.root}", f"name={PEACE}")
    Person(None, folder).command("launch.py", "-m", SEEDS, *grid, *here)
    say(f"undisturbed: {len(predictions(peace))} trained stages in {time.monotonic() - began:.0f} s")
    install(folder, str(shutil.which("sbatch")))
    with disk_of_its_own(folder / "disk", DISK_MB) as disk:
        while verdict.hits.total() < faults and time.monotonic() - began < 60 * minutes:
            scene = shown[verdict.rounds % len(shown)]
            say(f"round {verdict.rounds + 1}, {scene.name}: {verdict.hits.total()} of {faults} faults so far")
            with clusters(folder / f"clusters-{verdict.rounds}", scene) as found:
                one = play(folder, disk, scene, found, grid, draw, verdict, faults)
                if one is None:
                    return verdict
                verdict.add(one, peace)
            for text in (*verdict.lost, *verdict.trained.behind, *verdict.trained.in_vain):
                say(f"  broken: {text}")
            if not verdict.good:
                return verdict
    return verdict


def play(
    folder: Path,
    disk: Path,
    scene: Scene,
    found: Sequence[Cluster],
    grid: Sequence[str],
    draw: random.Random,
    verdict: Verdict,
    faults: int,
) -> Round | None:
    """A round to its end; None where it never came to it."""
    os.environ.update(found[0].env())
    store, people = Store(disk / f"store-{verdict.rounds}"), cast(folder, scene, found)
    if scene.users:
        next(iter(people.values())).command("-m", "w2s_sweep.cli", "init", str(store.root), "--shared", str(GROUP))
    worlds = [World(cluster, store, draw) for cluster in found]
    most = min(FAULTS_A_ROUND, faults - verdict.hits.total())
    one = Round(worlds, scene, people, grid, most, verdict.hits.copy())
    try:
        one.run()
    except ClusterError as error:
        verdict.stuck += 1
        say(str(error))
        return None
    finally:
        verdict.hits += one.hits
    return one


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=100, help="faults that must hit something (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of faults and victims (default: 0)")
    parser.add_argument("--minutes", type=float, default=1e9, help="no round begins later than that")
    choices = [scene.name for scene in SCENES]
    parser.add_argument("--scene", choices=choices, action="append", default=[], help="rounds are of these, by turns")
    parser.add_argument("--keep", type=Path, help="a new folder that is kept, for a look at what went wrong")
    args = parser.parse_args()
    isolate()
    if lacking := missing(accounting=False):
        print(f"no {', '.join(lacking)} (as root: python -m tests.slurm.cluster install)", file=sys.stderr)
        return 1
    os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the cluster must not outlive this process
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="w2s-chaos-") as own:
        folder = args.keep or Path(own)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        os.environ["W2S_CACHE"] = str(folder / "cache")
        verdict = chaos(folder, args.faults, args.seed, args.minutes, args.scene)
    print(f"chaos: {verdict.line(time.monotonic() - began)}", flush=True)
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
