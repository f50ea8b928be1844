"""One round of chaos: sweeps in a fresh store are disturbed, and a person retries until nothing is missing."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.evidence import Seen, log_tails, missing
from benchmarks.faults import FAULTS, World
from benchmarks.submissions import SUBMISSION_FAULTS, Submission
from tests.slurm.cluster import ClusterError
from w2s_sweep.launch.slurm.waves import tasks_left
from w2s_sweep.launch.status import stage_states

SWEEPS = {"first": "seed=0", "second": "seed=0,1"}
TASKS = [
    *("hydra/launcher=slurm", "hydra.launcher.partition=low", "hydra.launcher.gpus=0", "hydra.launcher.cpus=1"),
    *("hydra.launcher.memory_gb=1", "hydra.launcher.pack_flops=0", "hydra.launcher.memory_retries=1"),
]
GAP_SECONDS = 2.0
"""Mean time from one fault to the next."""
HEAL_SECONDS = 2.0
"""Time between two looks of the administrator at the nodes."""
STOCK_SECONDS = 20.0
"""Time between two looks of the controller at what the nodes really run."""
DISTURBED = 0.5
"""Share of submissions that are disturbed."""
RETRY_SECONDS = 15.0
"""A person who waits looks at the status so often, and says `w2s retry` where anything was lost or has failed."""
STUCK_SECONDS = 240.0
"""Without any progress for so long, a sweep is stuck."""


@dataclass
class Round:
    """Two sweeps in a fresh store, disturbed until `most` faults have hit, then left to end."""

    world: World
    folder: Path
    grid: Sequence[str]
    most: int
    before: Counter[str]
    """Hits of earlier rounds: kinds that were seldom are drawn more often, as some find a victim more easily."""
    hits: Counter[str] = field(default_factory=Counter[str])
    submissions: list[Submission] = field(default_factory=list[Submission])
    launched: set[str] = field(default_factory=set[str])
    again: set[str] = field(default_factory=set[str])
    """Sweeps whose last submission did not come to its end: nobody leaves it at that."""
    retries: int = 0
    heal_at: float = 0.0
    stock_at: float = 0.0

    def __post_init__(self) -> None:
        self.store = self.world.store
        self.seen = Seen(self.store)

    def run(self) -> None:
        """Returns when nothing is missing and the queue is empty; ClusterError when that never happens."""
        looked = time.monotonic() - RETRY_SECONDS + 2 * len(SWEEPS)
        fault_at = time.monotonic()
        moved, state = time.monotonic(), self._state()
        for name in SWEEPS:
            self._submit(name)
        while missing(self.store, list(SWEEPS)) or self.submissions or self.again:
            self._collect()
            self.seen.look()
            self._heal()
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

    def _heal(self) -> None:
        if time.monotonic() > self.heal_at:
            self.world.heal(take_stock=time.monotonic() > self.stock_at)
            if time.monotonic() > self.stock_at:
                self.stock_at = time.monotonic() + STOCK_SECONDS
            self.heal_at = time.monotonic() + HEAL_SECONDS

    def _disturb(self) -> bool:
        """Inject a fault of a random kind; whether it hit."""
        seldom = [1 / (1 + self.before[kind] + self.hits[kind]) for kind in FAULTS]
        (kind,) = self.world.draw.choices(list(FAULTS), seldom)
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
        seldom = [1 / (1 + self.before[kind] + self.hits[kind]) for kind in SUBMISSION_FAULTS]
        (fault,) = self.world.draw.choices(SUBMISSION_FAULTS, seldom) if disturbed else (None,)
        hours = self.world.draw.choice((-1.0, 1.0))
        self.submissions.append(Submission(name, words, self.folder, fault, hours))

    def _collect(self) -> None:
        for one in [s for s in self.submissions if s.ended]:
            self.submissions.remove(one)
            if one.process.returncode == 0:
                self.launched.add(one.sweep)
                self.again.discard(one.sweep)
            else:
                self.again.add(one.sweep)
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
            if name not in self.launched or name in self.again:
                self._submit(name)
                continue
            states = stage_states(self.store, name)
            if tasks_left(self.store, name) or any(s.state != "done" and not s.alive for s in states):
                self._submit(name)

    def _state(self) -> tuple[int, ...]:
        logs = [*(self.store.root / "work").glob("*/log.txt")]
        sizes = 0
        for path in logs:
            with suppress(FileNotFoundError):
                sizes += path.stat().st_size
        return len(self.seen.inodes), sizes, self.hits.total()

    def _drain(self) -> None:
        """Tasks whose stages are all there must end; a person who sees some in the queue that do not retries."""
        deadline, looked = time.monotonic() + STUCK_SECONDS, time.monotonic()
        while self.world.tasks() or self.submissions:
            self._heal()
            self._collect()
            if time.monotonic() - looked > RETRY_SECONDS and not self.submissions:
                looked = time.monotonic()
                self._submit(next(iter(SWEEPS)))
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


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
