"""Faults of a cluster, each at a random victim: a fault counts only where something of the sweep was really hit."""

import os
import random
import signal
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.slurm import processes
from tests.slurm.cluster import Cluster, ClusterError
from tests.slurm.processes import Process, wait_until
from w2s_sweep.store import Store, read_claim

PREEMPTION_SECONDS = 25.0
"""How long a preempted task may take to leave: the grace time of the partition `low`, and what SLURM needs for it."""
DOWN_SECONDS = 3.0
"""The longest that a daemon or node stays away."""


@dataclass(frozen=True)
class Task:
    """A task of a sweep in SLURM's queue."""

    job: str
    state: str
    node: str
    user: str = ""


@dataclass(frozen=True)
class Trainer:
    """A process that runs a stage."""

    key: str
    process: Process
    job: str
    saved: bool
    """Whether its stage has a checkpoint."""


@dataclass
class World:
    """What faults are injected into."""

    cluster: Cluster
    store: Store
    draw: random.Random

    def tasks(self, *states: str) -> list[Task]:
        """The sweep's tasks, in these states or in any; ClusterError where the controller does not answer."""
        out = self.cluster.run("squeue", "--noheader", "--array", "--format=%F|%K|%j|%T|%N|%u")
        rows = [line.split("|") for line in out.splitlines()]
        found = [
            Task(f"{job}_{index}" if index != "N/A" else job, state, node, user)
            for job, index, name, state, node, user in rows
            if name.startswith("w2s-")
        ]
        return [task for task in found if not states or task.state in states]

    def trainers(self) -> list[Trainer]:
        """Processes with a claim on a stage inside a job: those with something to lose, where there are any."""
        found: list[Trainer] = []
        here = str(self.cluster.place.conf)
        for path in sorted((self.store.root / "claims").glob("[0-9a-f]*")):
            claim = read_claim(self.store, path.name)
            if claim is not None and claim.alive and claim.record["job"]:
                process = Process(int(claim.record["pid"]), int(claim.record["started"]))
                if _variable(process.pid, "SLURM_CONF") != here:
                    continue  # of another cluster, or gone
                saved = (self.store.work(path.name) / "checkpoint.safetensors").exists()
                found.append(Trainer(path.name, process, str(claim.record["job"]), saved))
        return [trainer for trainer in found if trainer.saved] or found

    def restarts(self, job: str) -> int:
        """How often SLURM has queued a task again; -1 where it does not say."""
        with suppress(ClusterError, IndexError, ValueError):
            return int(self.cluster.scontrol("show", "job", job).split("Restarts=")[1].split()[0])
        return -1

    def victim(self) -> Task | None:
        """A running task with a process of ours in it."""
        jobs = {trainer.job for trainer in self.trainers()}
        running = [task for task in self.tasks("RUNNING") if task.job in jobs]
        return self.draw.choice(running) if running else None

    def pause(self) -> None:
        time.sleep(self.draw.uniform(0, DOWN_SECONDS))

    def heal(self, take_stock: bool) -> None:
        """What an administrator does: daemons that died of themselves (slurmctld 22.05 does, of a step that ends after
        a crash and a node's end) are started; nodes that SLURM has drained or that came back are put to use again.

        To take stock, the controller asks all nodes for their jobs, so that it misses those that it made up when it
        went back in time; by itself it does that every some minutes.
        """
        with suppress(ClusterError):
            for name in self.cluster.dead:
                self.cluster.restart(name)
            if take_stock:
                self.cluster.scontrol("reconfigure")
            states = self.cluster.run("sinfo", "--noheader", "--Node", "--partition=main", "--format=%N %T")
            for node, _, state in (line.partition(" ") for line in states.splitlines()):
                if state.startswith(("drained", "draining", "down")) and not state.endswith("*"):
                    self.cluster.scontrol("update", f"nodename={node}", "state=resume")


def kill_stage(world: World) -> bool:
    """kill -9 of a process that trains; hit if it died with its claim."""
    trainers = world.trainers()
    if not trainers:
        return False
    one = world.draw.choice(trainers)
    processes.kill([one.process])
    claim = read_claim(world.store, one.key)
    return not world.store.is_done(one.key) and claim is not None and int(claim.record["pid"]) == one.process.pid


def kill_stepd(world: World) -> bool:
    """kill -9 of slurmstepd, of the step or of the batch script, above a process that trains."""
    trainers = [trainer.process for trainer in world.trainers()]
    conf = str(world.cluster.place.conf)
    steps = {p.pid: p for p, command, _ in processes.with_variable("SLURM_CONF", conf) if command == "slurmstepd"}
    jobs = {_variable(p.pid, "SLURM_JOB_ID") for p in trainers} - {None}
    above = [p for pid, p in steps.items() if _works_for(pid, jobs)]
    if not above:
        return False
    victim = world.draw.choice(sorted(above, key=lambda p: p.pid))
    processes.kill([victim])
    return True


def kill_slurmd(world: World) -> bool:
    """kill -9 of the slurmd of a node with a running task, and a restart."""
    task = world.victim()
    if task is None:
        return False
    world.cluster.crash(f"slurmd.{task.node}")
    world.pause()
    world.cluster.restart(f"slurmd.{task.node}")
    return True


def kill_controller(world: World) -> bool:
    """kill -9 of slurmctld while tasks are queued or running, and a restart: it knows what it knew up to 5 s ago."""
    if not world.tasks("RUNNING", "PENDING"):
        return False
    world.cluster.crash("slurmctld")
    world.pause()
    world.cluster.restart("slurmctld")
    return True


def node_down(world: World) -> bool:
    """An administrator takes a node away under a running task, and gives it back."""
    task = world.victim()
    if task is None:
        return False
    world.cluster.scontrol("update", f"nodename={task.node}", "state=down", "reason=chaos")
    world.pause()
    hit = task not in world.tasks("RUNNING")
    with suppress(ClusterError):  # its slurmd may have said already that the node is well
        world.cluster.scontrol("update", f"nodename={task.node}", "state=resume")
    return hit


def requeue(world: World) -> bool:
    """scontrol requeue of a running task: SIGTERM, and KillWait later SIGKILL."""
    task = world.victim()
    if task is None:
        return False
    before = world.restarts(task.job)
    world.cluster.scontrol("requeue", task.job)
    return world.restarts(task.job) > before >= 0 or task not in world.tasks("RUNNING")


def preempt(world: World) -> bool:
    """A job of the partition `high` wants the node of a running task."""
    task = world.victim()
    if task is None:
        return False
    before = world.restarts(task.job)
    asked = ("--partition=high", f"--nodelist={task.node}", "--ntasks=1", "--mem=100M", "--output=/dev/null")
    job = world.cluster.run("sbatch", "--parsable", "--job-name=high", *asked, "--wrap=sleep 1").strip()
    try:
        wait_until(lambda: task not in world.tasks("RUNNING"), PREEMPTION_SECONDS, f"{task} to be preempted")
        wait_until(lambda: world.restarts(task.job) > before, 8, f"{task} to be queued again")
    except ClusterError:
        return False
    finally:
        with suppress(ClusterError):
            world.cluster.run("scancel", "--quiet", job)
    return before >= 0


BUSY_SECONDS = (11.0, 14.0)
"""Longer than SLURM's commands wait for an answer (MessageTimeout, 10 s)."""
HUNG_SECONDS = (4.0, 8.0)


def stop_controller(world: World) -> bool:
    """slurmctld is there and answers nobody for so long that commands give up."""
    if not world.tasks("RUNNING", "PENDING"):
        return False
    with frozen(world.cluster.daemon("slurmctld")):
        time.sleep(world.draw.uniform(*BUSY_SECONDS))
    return True


def hang_stage(world: World) -> bool:
    """A process that trains hangs; a person who sees that queues its task again."""
    trainers = world.trainers()
    if not trainers:
        return False
    one = world.draw.choice(trainers)
    with frozen(one.process):
        time.sleep(world.draw.uniform(*HUNG_SECONDS))
        before = world.restarts(one.job)
        world.cluster.scontrol("requeue", one.job)
        # TERM waits for who hangs; SLURM's KILL (KillWait later) does not.
        wait_until(lambda: not one.process.alive, PREEMPTION_SECONDS, f"the end of {one.process}")
    return before >= 0 and world.restarts(one.job) > before


def fill_disk(world: World) -> bool:
    """Nothing more can be written to the store while a stage trains."""
    if not os.path.ismount(world.store.root.parent) or not world.trainers():
        return False
    filler = world.store.root.parent / "filler"
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1 << 20)):
                pass
        world.pause()
        return bool(world.trainers()) or bool(world.tasks("RUNNING"))
    finally:
        filler.unlink(missing_ok=True)


@contextmanager
def frozen(process: Process) -> Generator[None]:
    """It gets no time on a processor meanwhile."""
    process.send(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send(signal.SIGCONT)


FAULTS: Mapping[str, Callable[[World], bool]] = {
    "stage killed": kill_stage,
    "slurmstepd killed": kill_stepd,
    "slurmd killed": kill_slurmd,
    "slurmctld killed": kill_controller,
    "node down": node_down,
    "requeued": requeue,
    "preempted": preempt,
    "slurmctld busy": stop_controller,
    "stage hung": hang_stage,
    "disk full": fill_disk,
}
"""Kind -> injects one and says whether it hit."""
TWICE = 2
"""So often at least has each kind to hit, before chance decides."""


def choose(kinds: Sequence[str], hits: Mapping[str, int], draw: random.Random) -> str:
    """A kind: one that has not hit twice so far, where there is any; then those that were seldom are drawn more often,
    as some find a victim more easily."""
    few = [kind for kind in kinds if hits[kind] < TWICE]
    (kind,) = draw.choices(few or kinds, [1 / (1 + hits[kind]) for kind in few or kinds])
    return kind


def _variable(pid: int, name: str) -> str | None:
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    return next((os.fsdecode(e.partition(b"=")[2]) for e in entries if e.startswith(f"{name}=".encode())), None)


def _works_for(stepd: int, jobs: set[str | None]) -> bool:
    """Whether a child of this slurmstepd belongs to one of these jobs."""
    for folder in processes.PROC.glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == stepd and _variable(int(folder.name), "SLURM_JOB_ID") in jobs:
            return True
    return False
