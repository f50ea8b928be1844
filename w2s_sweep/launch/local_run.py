"""One pass of the local engine over the packs of a job: who works on what, and what becomes of who dies or hangs."""

from __future__ import annotations

import queue
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Protocol

from w2s_sweep.errors import Interrupted
from w2s_sweep.launch.engine import Job
from w2s_sweep.launch.live_report import live_report
from w2s_sweep.launch.progress import Progress
from w2s_sweep.launch.stall import Silence
from w2s_sweep.launch.worker_process import Events, Worker
from w2s_sweep.plan.packs import Pack
from w2s_sweep.runner.worker import LOST
from w2s_sweep.store.claim import file_system_now
from w2s_sweep.store.files import write_json

TICK_SECONDS = 0.5
STALLS = 2
"""How often a stage that hangs is repeated."""
PATIENCE_SECONDS = 60.0
"""How long a worker may take to save its state after the signal to leave."""


@contextmanager
def _like_ctrl_c(*signals: signal.Signals) -> Generator[None]:
    """Within, these signals interrupt as Ctrl-C does: workers save and leave before this process ends."""
    if threading.current_thread() is not threading.main_thread():  # no other thread may set handlers
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Machine(Protocol):
    """What a run asks the engine."""

    cpu_ranks: int
    stall_minutes: float | None

    @property
    def beside(self) -> int:
        """Most workers of one GPU."""
        ...

    def places(self) -> Sequence[str | None]:
        """The GPU of each worker that has one alone."""
        ...

    def gpus_of(self, pack: Pack) -> int:
        """How many GPUs a pack gets; 1 on the CPU too."""
        ...


class Run:
    """One pass of the engine over the packs of a job."""

    def __init__(self, engine: Machine, job: Job, packs: list[Pack], progress: Progress):
        self.engine, self.job, self.progress = engine, job, progress
        self.waiting = packs
        self.specs = {pack.name: job.write_spec(pack) for pack in packs}
        self.ended: set[str] = set(job.plan.keys("done", "not needed"))
        """Stages about which nothing more will happen, well or not."""
        self.workers: list[Worker] = []
        self.events: Events = queue.Queue()
        self.free = list(self.engine.places())
        """GPUs without a worker, one entry for each that could be there."""
        self.counts = {pack.name: self.engine.gpus_of(pack) for pack in packs}
        """Pack -> GPUs that it gets."""
        self.born = 0
        self.stalls: Counter[str] = Counter()
        """Stage -> how often it was ended since it hung."""
        self.silent: set[tuple[str, ...]] = set()
        """Stages, those of a worker each, that were silent for too long at the last look."""
        self.looked = time.monotonic()

    def loop(self) -> None:
        try:
            with _like_ctrl_c(signal.SIGTERM, signal.SIGHUP), live_report(self.job.store, self.job.name) as live:
                while self.waiting or any(worker.pack for worker in self.workers):
                    self._assign()
                    self._listen()
                    self._end_stalled()
                    live.tick()
        except KeyboardInterrupt:
            with suppress(OSError):  # a terminal that was closed shows nothing
                self.progress.console.print("interrupted: saving checkpoints ...", highlight=False)
            self._interrupt()
            raise Interrupted(
                "interrupted: checkpoints are saved and finished stages are kept. Run the same command to go on."
            ) from None
        except BaseException:  # whatever it is, workers save and leave
            self._interrupt()
            raise
        finally:
            for worker in self.workers:
                worker.dismiss()

    def _assign(self) -> None:
        for pack in list(self.waiting):
            if not pack.waits_for <= self.ended:
                continue
            worker = self._worker_for(self.counts[pack.name])
            if worker is None:
                continue  # what needs fewer GPUs may go first
            self.waiting.remove(pack)
            worker.assign(pack, self.specs[pack.name])

    def _worker_for(self, count: int) -> Worker | None:
        """One with so many GPUs that has nothing to do; those with another number make room for it."""
        idle = [worker for worker in self.workers if worker.pack is None]
        if found := next((worker for worker in idle if len(worker.places) == count), None):
            return found
        while idle and len(self.free) < count:
            worker = idle.pop()
            self.workers.remove(worker)
            worker.dismiss()
            self.free.extend(worker.places)
        return self._hire(count) if len(self.free) >= count else None

    def _hire(self, count: int) -> Worker:
        places, self.free = self.free[:count], self.free[count:]
        log = self.job.folder / "jobs" / f"worker-{self.born}.log"
        worker = Worker(places, log, self.events, self.engine.beside, self.engine.cpu_ranks)
        self.born += 1
        self.workers.append(worker)
        return worker

    def _listen(self) -> None:
        try:
            worker, event = self.events.get(timeout=TICK_SECONDS)
        except queue.Empty:
            self.progress.tick()
            return
        if worker not in self.workers:
            return
        if "start" in event:
            worker.running.append(event["start"])
            self.progress.start(event["start"])
        elif "end" in event:
            if event["end"] in worker.running:
                worker.running.remove(event["end"])
            self.ended.add(event["end"])
            self.progress.end(event["end"], event["outcome"])
        elif "pack" in event:
            worker.pack = None
            worker.running.clear()
        elif "died" in event:
            self._bury(worker, event["died"])

    def _bury(self, worker: Worker, status: int) -> None:
        """A worker died: the stage it was working on has failed, the rest of its pack goes to another worker."""
        self.workers.remove(worker)
        worker.dismiss()
        self.free.extend(worker.places)
        pack = worker.pack
        if pack is None:
            return
        self._blame(worker, pack, status)
        rest = tuple(stage for stage in pack.stages if stage.key not in self.ended)
        if rest:
            again = Pack(f"{pack.name}-{self.born}", rest, pack.waits_for)
            self.specs[again.name] = self.job.write_spec(again)
            self.counts[again.name] = self.counts[pack.name]
            self.waiting.insert(0, again)

    def _blame(self, worker: Worker, pack: Pack, status: int) -> None:
        """Find the stage that has failed, if one has."""
        # Between two stages the next one is blamed: a pack that kills its workers must not go round for ever.
        first, *others = worker.running or [next(key for key in pack.keys if key not in self.ended)]
        if others:  # nobody can tell which one it was; each is repeated alone (runner/companions.py)
            says = "no progress" if worker.hung else f"their process died ({_explain_status(status)})"
            self._say(f"{', '.join(key[:10] for key in worker.running)}: {says}, each is repeated alone")
        elif worker.hung and worker.running and self.stalls[first] < STALLS:
            self.stalls[first] += 1
            self._say(f"{first[:10]}: no progress, it is repeated")
        elif status != LOST:  # there the stage that broke the GPU context has told so itself
            _record_death(self.job, first, status, worker)
            self.ended.add(first)
            self.progress.end(first, "failed")

    def _say(self, text: str) -> None:
        self.progress.console.print(text, highlight=False)

    def _end_stalled(self) -> None:
        """Kill workers whose stage hangs: what is left of their packs goes to other workers, this stage too."""
        minutes, now = self.engine.stall_minutes, time.monotonic()
        if minutes is None or now - self.looked < min(10.0, 10 * minutes):
            return
        self.looked = now
        silence = Silence(self.job.store, file_system_now(self.job.store.root / "claims"))
        working = {tuple(worker.running): worker for worker in self.workers if worker.running}
        silent = {keys for keys in working if min(map(silence.seconds, keys)) > 60 * minutes}
        # At two looks: a stage that begins again has not written anything for a moment.
        for keys in silent & self.silent:
            working[keys].hung = True
            working[keys].process.kill()
        self.silent = silent

    def _interrupt(self) -> None:
        for worker in self.workers:
            worker.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_SECONDS
        for worker in self.workers:
            try:
                worker.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()


def _explain_status(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _record_death(job: Job, key: str, status: int, worker: Worker) -> None:
    cause = f"ended after {STALLS} more tries, it made no progress" if worker.hung else _explain_status(status)
    hint = (
        " The kernel kills processes when memory runs out: lower micro_batch_tokens."
        if status == -9 and not worker.hung
        else ""
    )
    tail = "\n".join(worker.log.read_text(errors="replace").splitlines()[-8:]) if worker.log.is_file() else ""
    label = job.plan.graph.stages[key].label
    error = f"the process that ran it died ({cause}).{hint}"
    write_json(
        job.store.work(key) / "failure.json",
        {"key": key, "label": label, "error": error, "text": f"{error}\n{tail}", "time": time.strftime("%F %T")},
    )
