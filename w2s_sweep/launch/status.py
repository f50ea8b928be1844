"""The state of every stage of a sweep, reconciled from the store and, where jobs were submitted, from SLURM's queue."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from w2s_sweep.errors import LaunchError
from w2s_sweep.launch.stall import STALLED, Silence
from w2s_sweep.runner.context import seconds_so_far
from w2s_sweep.store import Store, read_claim
from w2s_sweep.store.claim import Claim, file_system_now
from w2s_sweep.store.files import read_json

StageState = Literal[
    "done", "running", "stalled", "queued", "stuck", "waiting", "unknown", "interrupted", "failed", "lost", "cancelled"
]
STATES: tuple[StageState, ...] = get_args(StageState)
"""stalled: running without getting anywhere; waiting: for other stages; queued: for the cluster; stuck: for somebody to
do something; unknown: its job cannot be seen from here; interrupted: begun by a command that was stopped; lost: its job
left the queue without a result or an error; cancelled: on purpose. docs/CLUSTERS.md."""
ORDER: tuple[StageState, ...] = (
    "failed", "lost", "stalled", "stuck", "cancelled", "interrupted", "unknown", "running", "queued", "waiting", "done"
)  # fmt: skip
"""What people look for first stands first in long tables."""
MANY = 40


@dataclass(frozen=True)
class StageStatus:
    """What is known of one stage."""

    key: str
    label: str
    state: StageState
    note: str = ""
    alive: bool = False
    """Whether something will still happen without anybody's doing."""


@dataclass(frozen=True)
class Queue:
    """What SLURM knows of the jobs that were submitted for stages of a store."""

    jobs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Stage -> job, as recorded at submission."""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """Job -> start of its name."""
    sweeps: Mapping[str, str] = field(default_factory=dict[str, str])
    """Stage -> sweep that submitted it."""
    tasks: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Stage -> task that SLURM still has."""
    unseen: Mapping[str, str] = field(default_factory=dict[str, str])
    """Stage -> why its job cannot be seen from here."""
    cancelled: frozenset[str] = frozenset()
    """Jobs that were cancelled on purpose."""
    known: bool = True
    """Whether SLURM answered."""


Look = Callable[[Store, Sequence[str]], Queue]


def rarely(seconds: float) -> Look:
    """`look_at_queue` for whoever looks again and again: SLURM, which many poll, is asked so often at most."""
    asked, found = -math.inf, Queue()

    def look(store: Store, keys: Sequence[str]) -> Queue:
        nonlocal asked, found
        if time.monotonic() - asked >= seconds:
            found, asked = look_at_queue(store, None), time.monotonic()
        return found

    return look


def look_at_queue(store: Store, keys: Sequence[str] | None) -> Queue:
    """One look at the queue for some stages, or for all, only where something was ever submitted."""
    if not (store.root / "queued").is_dir():
        return Queue()
    from w2s_sweep.launch.slurm import commands
    from w2s_sweep.launch.slurm.queued import cancelled_jobs, records, tasks_of, unseen

    wanted = None if keys is None else set(keys)
    known = {key: record for key, record in records(store).items() if wanted is None or key in wanted}
    jobs, names = {k: r.job for k, r in known.items()}, {r.job: r.name for r in known.values()}
    queue = Queue(jobs, names, {k: r.sweep for k, r in known.items()}, cancelled=frozenset(cancelled_jobs(store)))
    if not commands.available():
        return replace(queue, known=False)
    try:
        return replace(queue, tasks=tasks_of(known), unseen=unseen(store, known))
    except LaunchError:
        return replace(queue, known=False)


def stage_states(store: Store, name: str, look: Look = look_at_queue) -> list[StageStatus]:
    """One entry for every stage of the sweep, in the order of its graph."""
    silence = Silence(store, file_system_now(store.root / "claims"))
    stages = store.read_sweep(name)["stages"]
    done = {key for key in stages if store.is_done(key)}
    queue = look(store, [key for key in stages if key not in done])
    later = (read_json(store.sweep(name) / "waves.json") or {}).get("left")  # slurm/waves.py
    found: dict[str, StageStatus] = {}
    for key, stage in stages.items():
        state = StageStatus(key, str(stage["label"]), "done") if key in done else None
        state = state or _state(store, key, str(stage["label"]), silence, queue)
        if state.state in ("waiting", "lost") and not state.alive:
            state = _explain_blocked(state, [found[k] for k in stage["inputs"].values() if k in found])
        if state.state == "interrupted":
            state = replace(state, note=f"{state.note}nobody is at it; `w2s retry {name}` goes on from its checkpoint")
        if later and state.state == "waiting" and not state.note:
            state = replace(state, note=f"for a later wave: `w2s keep {name}` submits it when there is room")
        found[key] = state
    return _explain(store, list(found.values()), queue)


def _state(store: Store, key: str, label: str, silence: Silence, queue: Queue) -> StageStatus:
    claim = read_claim(store, key, silence.now)
    if claim is not None and claim.alive:
        return _at_work(store, key, label, claim, silence)
    failure = read_json(store.work(key) / "failure.json")
    task, job = queue.tasks.get(key), queue.jobs.get(key)
    if failure is not None and (task is None or task.state == "RUNNING"):
        return StageStatus(key, label, "failed", str(failure["text"]))
    if task is not None and task.stalled:
        return StageStatus(key, label, "lost", f"job {task.job} waits for a release that SLURM lost; `w2s retry` helps")
    if task is not None and task.stuck:
        return StageStatus(key, label, "stuck", f"job {task.job} ({task.reason}): {task.stuck}", alive=True)
    if task is not None:
        waits = task.reason == "Dependency"
        running = "its turn in" if task.state == "RUNNING" else ""
        note = f"{running or task.reason} job {task.job}" if running or waits else f"job {task.job} ({task.reason})"
        return StageStatus(key, label, "waiting" if waits else "queued", note, alive=True)
    if job in queue.cancelled:
        return StageStatus(key, label, "cancelled", f"job {job} was cancelled; `w2s retry` submits it again")
    if key in queue.unseen:
        return StageStatus(key, label, "unknown", f"job {job} cannot be seen from here: {queue.unseen[key]}")
    if job is not None:
        note = f"job {job} has left the queue" if queue.known else f"job {job}; squeue cannot be asked here"
        return StageStatus(key, label, "lost" if queue.known else "queued", note)
    begun = (store.work(key) / "log.txt").is_file()
    return StageStatus(key, label, "interrupted" if begun else "waiting", _how_far(store, key))


def _at_work(store: Store, key: str, label: str, claim: Claim, silence: Silence) -> StageStatus:
    job = claim.record.get("job")
    where = f"{_how_far(store, key)}on {claim.record['host']}{f', job {job}' if job else ''}"
    if not (silent := silence.stalled(key)):
        return StageStatus(key, label, "running", where, alive=True)
    again = f"`scontrol requeue {job}` repeats" if job else "Ctrl-C and the same command repeat"
    note = (
        f"{where}: no progress for {silent / 60:.0f} minutes. `w2s logs {key[:10]}` shows its last words; {again} it "
        "from its last checkpoint, and hydra.launcher.stall_minutes does so by itself"
    )
    return StageStatus(key, label, "stalled", note, alive=True)


def _explain_blocked(state: StageStatus, inputs: Sequence[StageStatus]) -> StageStatus:
    """A stage without a job is not lost where an input of it is what went wrong."""
    for one in inputs:
        if one.state in ("failed", "lost", "cancelled", "interrupted") or (one.state == "waiting" and not one.alive):
            return replace(state, state="waiting", note=f"needs {one.label}, which is {one.state}")
    return state


def _explain(store: Store, states: Sequence[StageStatus], queue: Queue) -> list[StageStatus]:
    """Add how lost jobs ended: from the file that the task left, and from accounting where there is any."""
    lost = {queue.jobs[s.key]: queue.names[queue.jobs[s.key]] for s in states if s.state == "lost"}
    if not lost:
        return list(states)
    from w2s_sweep.launch.slurm import commands

    ends = commands.endings(lost)
    return [
        replace(s, note=f"{s.note}{_ending(store, s.key, queue, ends)}") if s.state == "lost" else s for s in states
    ]


def _ending(store: Store, key: str, queue: Queue, ends: Mapping[str, str]) -> str:
    job = queue.jobs[key]
    left = task_file(store, queue.sweeps[key], job, "status")
    try:
        status = left.read_text().strip()
    except OSError:  # there is none, or it is another user's, whose job files nobody else reads
        status = None
    said = [ends[job]] if job in ends else []
    if status == "137":
        said.append("killed, which is what happens when memory runs out")
    elif status == str(STALLED):
        said.append("it was ended each time, as it made no progress")
    elif status is not None:
        said.append(f"its process ended with {status}, `w2s logs {key[:10]}` shows its last words")
    return f": {'; '.join(said)}" if said else ""


def task_file(store: Store, sweep: str, job: str, suffix: str) -> Path:
    """A file that the task of a job leaves beside its job file; its log has a name of submitit's."""
    name = f"{job}_0_log.out" if suffix == "log" else f"{job}.{suffix}"
    return store.sweep(sweep) / "jobs" / "submitit" / name


def _how_far(store: Store, key: str) -> str:
    progress = read_json(store.work(key) / "progress.json")
    if not progress:
        return ""
    step, total, seconds = progress["step"], progress["total"], seconds_so_far(progress)
    left = f" ({seconds * (total - step) / step:.0f} s left)" if step and seconds else ""
    return f"{step}/{total}{left} "


def sweep_status(
    store: Store, name: str, states: Sequence[StageStatus] | None = None, *, brief: bool = False
) -> RenderableType:
    """A table for people: counts, what failed, what is running, and the last lines of what failed.

    `brief`: finished stages are counted, not listed, as in every large sweep.
    """
    states = stage_states(store, name) if states is None else states
    counts = Counter(s.state for s in states)
    head = Text(f"{name}: " + ", ".join(f"{counts[s]} {s}" for s in STATES if counts[s]))
    table = Table("state", "stage", "key", "note", box=None, pad_edge=False)
    shown = [s for s in states if s.state != "done"] if brief or len(states) > MANY else list(states)
    shown = sorted(shown, key=lambda s: ORDER.index(s.state)) if len(shown) > MANY else shown
    for s in shown[:MANY]:
        note = s.note.splitlines()[-1] if s.note.strip() else ""
        table.add_row(Text(s.state), Text(s.label), s.key[:10], Text(note))
    if len(shown) > MANY:
        table.add_row("...", f"{len(shown) - MANY} more", "", "")
    failures = [Text(f"\n{s.label} ({s.key}):\n{_tail(s.note)}", style="red") for s in states if s.state == "failed"]
    ended = "" if brief or any(s.alive for s in states) else _usage(store, name)
    more = [Text(f"\n... and {len(failures) - 5} more failures: `w2s logs KEY`")] if len(failures) > 5 else []
    return Group(head, *([table] if shown else []), *failures[:5], *more, *([Text(ended)] if ended else []))


def _usage(store: Store, name: str) -> str:
    """What the jobs of a sweep that has ended asked for and used; empty where there were none."""
    if not store.submissions(name):
        return ""
    from w2s_sweep.results.usage import usage_of_tasks  # a look at a running sweep needs none of it

    return str(usage_of_tasks(store, store.read_sweep(name)) or "")


def _tail(text: str, lines: int = 6) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])
