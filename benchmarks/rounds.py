"""One round of chaos: sweeps in a fresh store are disturbed, and a person retries until nothing is missing."""

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from benchmarks.evidence import Seen, log_tails, missing
from benchmarks.faults import FAULTS, World, choose
from benchmarks.people import Person, Scene
from benchmarks.submissions import SUBMISSION_FAULTS, Submission
from tests.slurm.cluster import ClusterError
from w2s_sweep.launch.slurm.waves import tasks_left
from w2s_sweep.launch.status import stage_states

SWEEPS = ("first", "second")
SEEDS = "seed=0,1"
"""Of both: the same grid under two names, by whoever types it."""
TASKS = [
    *("hydra/launcher=slurm", "hydra.launcher.partition=low", "hydra.launcher.gpus=0", "hydra.launcher.cpus=1"),
    *("hydra.launcher.memory_gb=1", "hydra.launcher.pack_flops=0", "hydra.launcher.memory_retries=1"),
]
FULL = "disk full"
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

    worlds: Sequence[World]
    """Each with a cluster; all with the same store."""
    scene: Scene
    people: Mapping[str, Person]
    """Sweep -> who types its commands."""
    grid: Sequence[str]
    most: int
    before: Counter[str]
    """Hits of earlier rounds."""
    hits: Counter[str] = field(default_factory=Counter[str])
    submissions: list[Submission] = field(default_factory=list[Submission])
    launched: set[str] = field(default_factory=set[str])
    again: set[str] = field(default_factory=set[str])
    """Sweeps whose last submission did not come to its end: nobody leaves it at that."""
    met: set[str] = field(default_factory=set[str])
    """Sweeps that were submitted beside another's tasks."""
    retries: int = 0
    heal_at: float = 0.0
    stock_at: float = 0.0

    def __post_init__(self) -> None:
        self.store, self.draw = self.worlds[0].store, self.worlds[0].draw
        self.seen = Seen(self.store)

    @property
    def kinds(self) -> list[str]:
        """Faults that can be injected here."""
        return [kind for kind in FAULTS if kind != FULL or os.path.ismount(self.store.root.parent)]

    @property
    def so_far(self) -> Counter[str]:
        """Hits of this round and earlier ones."""
        return self.before + self.hits

    def run(self) -> None:
        """Returns when nothing is missing and the queue is empty; ClusterError when that never happens."""
        looked = time.monotonic() - RETRY_SECONDS + 2 * len(SWEEPS)
        fault_at = time.monotonic()
        moved, state = time.monotonic(), self._state()
        while missing(self.store, list(SWEEPS)) or self.submissions or self.again:
            self._collect()
            self._begin()
            self.seen.look()
            self._heal()
            if self.hits.total() < self.most and time.monotonic() > fault_at:
                gap = GAP_SECONDS if self._disturb() else GAP_SECONDS / 4
                fault_at = time.monotonic() + self.draw.expovariate(1 / gap)
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

    def _begin(self) -> None:
        """Who shares a store with others comes when these have tasks in their queue; else all begin at once."""
        for name in SWEEPS:
            begun = {*self.launched, *self.again, *(one.sweep for one in self.submissions)}
            if name not in begun and (not begun or not self.scene.shared or self._beside(name)):
                self._submit(name)

    def _beside(self, name: str) -> bool:
        """Whether somebody else has tasks in a queue."""
        mine = self.people[name]
        if self.scene.clusters:
            return any(world.tasks() for world in self.worlds if world.cluster is not mine.cluster)
        return any(task.user != mine.name for world in self.worlds for task in world.tasks())

    def _heal(self) -> None:
        if time.monotonic() > self.heal_at:
            for world in self.worlds:
                world.heal(take_stock=time.monotonic() > self.stock_at)
            if time.monotonic() > self.stock_at:
                self.stock_at = time.monotonic() + STOCK_SECONDS
            self.heal_at = time.monotonic() + HEAL_SECONDS

    def _disturb(self) -> bool:
        """Inject a fault of a random kind; whether it hit."""
        kind = choose(self.kinds, self.so_far, self.draw)
        began = time.monotonic()
        try:
            hit = FAULTS[kind](self.draw.choice(self.worlds))
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
            words = ["launch.py", "-m", f"store={self.store.root}", f"name={name}", SEEDS, *self.grid, *TASKS]
        else:
            self.retries += 1
        disturbed = self.hits.total() < self.most and self.draw.random() < DISTURBED
        fault = choose(SUBMISSION_FAULTS, self.so_far, self.draw) if disturbed else None
        hours, beside = self.draw.choice((-1.0, 1.0)), self.scene.shared and self._beside(name)
        self.submissions.append(Submission(name, words, self.people[name], fault, hours, beside))

    def _collect(self) -> None:
        for one in [s for s in self.submissions if s.ended]:
            self.submissions.remove(one)
            if one.good:
                self.launched.add(one.sweep)
                self.again.discard(one.sweep)
                if one.beside and one.sweep not in self.met:
                    self.met.add(one.sweep)
                    self.hits[self.scene.name] += 1
                    say(f"  {self.scene.name}: {one.sweep} was submitted beside the other's tasks")
            else:
                self.again.add(one.sweep)
            hit = one.hit()
            self.hits[hit or ""] += hit is not None
            text = one.log.read_text(errors="replace")
            if hit is None and not one.good:
                say(f"  submission of {one.sweep} ended with {one.process.returncode}: {text.strip()[-300:]}")
            if "Traceback" in text:
                raise ClusterError(f"a submission crashed:\n{text}")
            say(f"  {hit or 'submission of ' + one.sweep}: {'hit' if hit else text.strip().splitlines()[-1:]}")

    def _go_on(self) -> None:
        """Submit again what is neither done nor on its way."""
        busy = {one.sweep for one in self.submissions}
        for name in [n for n in SWEEPS if n in {*self.launched, *self.again} - busy]:
            if name not in self.launched or name in self.again:
                self._submit(name)
                continue
            states = self.people[name].look(partial(stage_states, self.store, name))
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
        while any(world.tasks() for world in self.worlds) or self.submissions:
            self._heal()
            self._collect()
            if time.monotonic() - looked > RETRY_SECONDS and not self.submissions:
                looked = time.monotonic()
                for name in SWEEPS if self.scene.shared else SWEEPS[:1]:
                    self._submit(name)
            if time.monotonic() > deadline:
                raise ClusterError(f"tasks do not end though everything is done\n{self.describe()}")
            time.sleep(0.5)

    def describe(self) -> str:
        """What a person would look at."""
        parts = [log_tails(self.store)]
        for words in (("squeue", "--array"), ("sinfo", "--Node", "--long"), ("scontrol", "show", "job")):
            for world in self.worlds:
                with suppress(ClusterError):
                    parts.append(world.cluster.run(*words))
        for name in self.launched:
            parts += [f"{name}: {s.state} {s.label} {s.key} {s.note}" for s in stage_states(self.store, name)]
        return "\n".join(parts)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
