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
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.evidence import Seen, Trainings, log_tails, lost, missing, predictions, table, trainings
from benchmarks.faults import FAULTS, KILLED, REFUSED, World, install_sbatch
from benchmarks.grid import ROOT, tiny_grid
from tests.slurm.cluster import Cluster, ClusterError, Settings
from tests.slurm.cluster import missing as missing_programs
from w2s_sweep.launch.status import stage_states
from w2s_sweep.store import Store

SWEEPS = {"first": "seed=0", "second": "seed=0,1"}
GRID = ["loss=xent,confidence", "finetune.epochs=60", "checkpoint_seconds=0.3"]
"""Stages of some seconds, with some checkpoints each."""
TASKS = [
    *("hydra/launcher=slurm", "hydra.launcher.partition=low", "hydra.launcher.gpus=0", "hydra.launcher.cpus=1"),
    *("hydra.launcher.memory_gb=1", "hydra.launcher.pack_flops=0", "hydra.launcher.memory_retries=1"),
]
CLUSTER = Settings(nodes=4, cpus=1, gpus=0, accounting=False, slurmd_timeout=6)
"""One task at a time on each node: the machine below has few processors."""
GAP_SECONDS = 2.0
"""Mean time from one fault to the next."""
HEAL_SECONDS = 2.0
"""Time between two looks of the administrator at the nodes."""
FAULTS_A_ROUND = 25
DISTURBED = 0.5
"""Share of submissions that are disturbed."""
RETRY_SECONDS = 15.0
"""A person who waits looks at the status so often, and says `w2s retry` where anything was lost or has failed."""
STUCK_SECONDS = 240.0
"""Without any progress for so long, a sweep is stuck."""


class Submission:
    """`launch.py` or `w2s retry` as a process, perhaps disturbed."""

    def __init__(self, sweep: str, words: Sequence[str], folder: Path, fault: str | None):
        self.sweep = sweep
        self.switch = Path(tempfile.mkstemp(dir=folder)[1])
        self.switch.write_text(fault or "")
        self.fault = fault
        self.log = self.switch.with_suffix(".log")
        env = {**os.environ, "W2S_CHAOS": str(self.switch), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, *words], env=env, cwd=ROOT, stdout=log, stderr=log)

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def hit(self) -> str | None:
        """The fault that this submission suffered, once it has ended."""
        return self.fault if self.fault and self.switch.read_text().strip() == "hit" else None


@dataclass
class Round:
    """Two sweeps in a fresh store, disturbed until `most` faults have hit, then left to end."""

    world: World
    folder: Path
    grid: Sequence[str]
    most: int
    hits: Counter[str] = field(default_factory=Counter[str])
    submissions: list[Submission] = field(default_factory=list[Submission])
    launched: set[str] = field(default_factory=set[str])
    retries: int = 0

    def __post_init__(self) -> None:
        self.store = self.world.store
        self.seen = Seen(self.store)

    def run(self) -> None:
        """Returns when nothing is missing and the queue is empty; ClusterError when that never happens."""
        looked = time.monotonic() - RETRY_SECONDS + 2 * len(SWEEPS)
        fault_at = time.monotonic()
        healed, moved, state = time.monotonic(), time.monotonic(), self._state()
        for name in SWEEPS:
            self._submit(name)
        while missing(self.store, list(SWEEPS)) or self.submissions:
            self._collect()
            self.seen.look()
            if time.monotonic() - healed > HEAL_SECONDS:
                healed = time.monotonic()
                self.world.heal()
            if self.hits.total() < self.most and time.monotonic() > fault_at:
                gap = GAP_SECONDS if self._disturb() else GAP_SECONDS / 4
                fault_at = time.monotonic() + self.world.draw.expovariate(1 / gap)
            if time.monotonic() - looked > RETRY_SECONDS:
                looked = time.monotonic()
                self._go_on()
            if (now := self._state()) != state:
                moved, state = time.monotonic(), now
            if time.monotonic() - moved > STUCK_SECONDS:
                raise ClusterError(f"stuck for {STUCK_SECONDS:.0f} s\n{self.describe()}")
            time.sleep(0.3)
        self._drain()
        self.seen.look()

    def _disturb(self) -> bool:
        """Inject a fault of a random kind; whether it hit."""
        kind = self.world.draw.choice(list(FAULTS))
        began = time.monotonic()
        try:
            hit = FAULTS[kind](self.world)
        except ClusterError as error:  # the victim ended meanwhile, or the controller was busy
            say(f"  {kind}: missed: {str(error).splitlines()[0]}")
            return False
        self.hits[kind] += hit
        if hit:
            say(f"  {kind}: hit ({time.monotonic() - began:.1f} s)")
        return hit

    def _submit(self, name: str) -> None:
        words = ["-m", "w2s_sweep.cli", "--store", str(self.store.root), "retry", name]
        if name not in self.launched:
            words = ["launch.py", "-m", f"store={self.store.root}", f"name={name}", SWEEPS[name], *self.grid, *TASKS]
        else:
            self.retries += 1
        disturbed = self.hits.total() < self.most and self.world.draw.random() < DISTURBED
        fault = self.world.draw.choice([REFUSED, KILLED]) if disturbed else None
        self.submissions.append(Submission(name, words, self.folder, fault))

    def _collect(self) -> None:
        for one in [s for s in self.submissions if s.ended]:
            self.submissions.remove(one)
            if one.process.returncode == 0:
                self.launched.add(one.sweep)
            hit = one.hit()
            self.hits[hit or ""] += hit is not None
            text = one.log.read_text(errors="replace")
            if hit is None and one.process.returncode:
                say(f"  submission of {one.sweep} ended with {one.process.returncode}: {text.strip()[-300:]}")
            if "Traceback" in text:
                raise ClusterError(f"a submission crashed:\n{text}")
            say(f"  {hit or 'submission of ' + one.sweep}: {'hit' if hit else text.strip().splitlines()[-1:]}")

    def _go_on(self) -> None:
        """Submit again what is neither done nor on its way."""
        busy = {one.sweep for one in self.submissions}
        for name in [n for n in SWEEPS if n not in busy]:
            if name not in self.launched:
                self._submit(name)
                continue
            states = stage_states(self.store, name)
            if any(s.state != "done" and (not s.alive or "held" in s.note) for s in states):
                self._submit(name)

    def _state(self) -> tuple[int, ...]:
        logs = [*(self.store.root / "work").glob("*/log.txt")]
        sizes = 0
        for path in logs:
            with suppress(FileNotFoundError):
                sizes += path.stat().st_size
        return len(self.seen.inodes), sizes, self.hits.total()

    def _drain(self) -> None:
        """Tasks whose stages are all there must end by themselves."""
        deadline = time.monotonic() + STUCK_SECONDS
        while self.world.tasks():
            self.world.heal()
            if time.monotonic() > deadline:
                raise ClusterError(f"tasks do not end though everything is done\n{self.describe()}")
            time.sleep(0.5)

    def describe(self) -> str:
        """What a person would look at."""
        parts = [log_tails(self.store)]
        for words in (("squeue", "--array"), ("sinfo", "--Node", "--long"), ("scontrol", "show", "job")):
            with suppress(ClusterError):
                parts.append(self.world.cluster.run(*words))
        for name in self.launched:
            parts += [f"{name}: {s.state} {s.label} {s.key} {s.note}" for s in stage_states(self.store, name)]
        return "\n".join(parts)


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


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


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
    install_sbatch(folder / "bin", str(shutil.which("sbatch")))
    with Cluster(folder / "cluster", CLUSTER) as cluster:
        os.environ.update(cluster.env())
        while verdict.hits.total() < faults:
            most = min(FAULTS_A_ROUND, faults - verdict.hits.total())
            say(f"round {verdict.rounds + 1}: {verdict.hits.total()} of {faults} faults so far")
            one = Round(World(cluster, Store(folder / f"store-{verdict.rounds}"), draw), folder, grid, most)
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
    if lacking := missing_programs(accounting=False):
        print(f"no {', '.join(lacking)} (as root: python -m tests.slurm.cluster install)", file=sys.stderr)
        return 1
    os.environ["OMP_NUM_THREADS"] = "1"
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
