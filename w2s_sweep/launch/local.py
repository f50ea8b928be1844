"""The local engine: one worker process a GPU, or one for the CPU, each fed with packs whose inputs are finished."""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import IO, Any

from w2s_sweep.errors import Interrupted, W2SError
from w2s_sweep.kinds import Kind
from w2s_sweep.kinds.memory import COUNTS
from w2s_sweep.launch.engine import Job
from w2s_sweep.launch.live_report import live_report
from w2s_sweep.launch.needs import gpus_of
from w2s_sweep.launch.notify import notify
from w2s_sweep.launch.progress import Progress, make_progress
from w2s_sweep.launch.stall import silent_seconds
from w2s_sweep.plan.packs import Pack, divide, make_packs
from w2s_sweep.plan.stage import Stage
from w2s_sweep.runner.worker import LOST
from w2s_sweep.store.claim import file_system_now
from w2s_sweep.store.files import write_json

TICK_SECONDS = 0.5
STALLS = 2
"""How often a stage that hangs is repeated."""
PATIENCE_SECONDS = 60.0
"""How long a worker may take to save its state after the signal to leave."""


def visible_gpus() -> list[str]:
    """Names of the GPUs this process may use, without loading torch."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return [str(i) for i, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]


def gpu_bytes(names: Sequence[str]) -> float | None:
    """Memory of the smallest of these GPUs, in bytes; None where there is none, or it does not say."""
    if not names or shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits", f"--id={','.join(names)}"]
    listed = subprocess.run(query, capture_output=True, text=True, check=False)
    sizes = [float(line) for line in listed.stdout.split() if line.replace(".", "").isdigit()]
    return min(sizes) * 2**20 if sizes else None


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


class Worker:
    """A process that runs one pack after another."""

    def __init__(self, places: Sequence[str | None], engine: "LocalEngine", log: Path):
        """`places`: its GPUs, on which a process each computes a stage together; [None] for the CPU."""
        self.places, self.log = places, log
        self.pack: Pack | None = None
        self.running: str | None = None
        """Key of the stage that it works on."""
        self.hung = False
        """Whether it was ended since that stage made no progress."""
        gpus = [gpu for gpu in places if gpu is not None]
        env = os.environ | {"W2S_RANKS": str(len(gpus) or engine.cpu_ranks)}  # models/device.py
        if gpus:
            given = {"CUDA_VISIBLE_DEVICES": ",".join(gpus), "W2S_GPUS": str(len(gpus))}
            env |= given | {"W2S_STAGES_PER_GPU": str(engine.beside)}
        # Workers import the code of this process, also out of a checkout that is not installed.
        source = str(Path(__file__).resolve().parents[2])
        env["PYTHONPATH"] = os.pathsep.join(p for p in (source, env.get("PYTHONPATH")) if p)
        with log.open("a") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "w2s_sweep.runner.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                env=env,
                text=True,
                # Ctrl-C goes to all processes of the terminal's group and would stop workers in mid-write: in a session
                # of their own they get our signal instead, save and leave.
                start_new_session=True,
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._stdin: IO[str] = self.process.stdin
        self._ear = threading.Thread(target=self._listen, args=(self.process.stdout, engine._events), daemon=True)
        self._ear.start()

    def _listen(self, stdout: IO[str], events: "queue.Queue[tuple[Worker, dict[str, Any]]]") -> None:
        with stdout:
            for line in stdout:
                try:
                    events.put((self, json.loads(line)))
                except ValueError:  # a library that prints to standard output
                    continue
        events.put((self, {"died": self.process.wait()}))

    def assign(self, pack: Pack, spec: Path) -> None:
        self.pack = pack
        try:
            self._stdin.write(f"{spec}\n")
            self._stdin.flush()
        except BrokenPipeError:
            return  # it died; the listener reports that

    def dismiss(self) -> None:
        """Let it end after what it is doing, and wait for that."""
        with suppress(BrokenPipeError):
            self._stdin.close()
        self.process.wait()
        self._ear.join()


@dataclass
class LocalEngine:
    """`hydra/launcher=local`."""

    processes: int | None = None
    """Worker processes; null is one for each GPU, or one."""
    pack_flops: float = 1e18
    """Stages that share model and data share a pack up to so many estimated floating-point operations."""
    gpus: int | None = None
    """GPUs that train a model together; null is the fewest in which it fits."""
    cpu_ranks: int = 1
    """Processes that train a model together where there is no GPU."""
    stall_minutes: float | None = None
    """Minutes without progress after which a stage is ended and repeated from its checkpoint; null never does."""
    notify: str | None = None
    """Shell command at the end (notify.py)."""
    _events: "queue.Queue[tuple[Worker, dict[str, Any]]]" = field(default_factory=queue.Queue, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.processes is not None and self.processes < 1:
            raise W2SError(f"hydra.launcher.processes: got {self.processes}, needs at least 1, or null.")
        if self.cpu_ranks < 1:
            raise W2SError(f"hydra.launcher.cpu_ranks: got {self.cpu_ranks}, needs at least 1.")
        if self.stall_minutes is not None and self.stall_minutes <= 0:
            raise W2SError(f"hydra.launcher.stall_minutes: got {self.stall_minutes}, needs to be above 0, or null.")
        if self.gpus is not None and not 1 <= self.gpus <= max(1, len(self.there)):
            raise W2SError(
                f"hydra.launcher.gpus: got {self.gpus}, and this machine has {len(self.there)}. Use null, which takes "
                "the fewest GPUs in which a stage fits, or a number that there is."
            )

    def run(self, job: Job) -> bool:
        keys, told = job.plan.keys("to run", "in flight"), job.plan.keys("to run", "in flight", "done")
        packs = make_packs(job.plan.graph, keys, self.pack_flops, self.share)
        if packs:
            with make_progress(job, keys) as progress:
                try:
                    _Run(self, job, packs, progress).loop()
                except Interrupted:
                    notify(self.notify, job.store, job.name, told, "interrupted")
                    raise
        notify(self.notify, job.store, job.name, told)
        return True

    def share(self, stages: Sequence[Stage[Kind]], flops: float) -> float:
        """Stages of one model are divided among all workers (`plan.packs.Share`)."""
        return divide(stages, flops, len(self.places()))

    def device(self, stage: Stage[Kind]) -> float | None:
        return self._bytes

    def counts(self, stage: Stage[Kind]) -> Sequence[int]:
        """Numbers of GPUs that a stage may compute on."""
        if not stage.settings.shards or self.beside > 1:
            return (1,)
        model = stage.hints.model
        said = self.gpus or (None if model is None else model.resources.gpus)
        most = max(1, len(self.places()))
        return tuple(n for n in COUNTS if n <= most) if not said else (min(said, most),)

    def gpus_of(self, pack: Pack) -> int:
        """How many GPUs a pack gets; 1 on the CPU too."""
        return max((gpus_of(stage, self.device(stage), self.counts(stage)) for stage in pack.stages), default=1)

    @cached_property
    def there(self) -> list[str]:
        """Names of the GPUs that there are."""
        return visible_gpus()

    @property
    def beside(self) -> int:
        """Most workers of one GPU."""
        return -(-(self.processes or 1) // max(1, len(self.there)))

    @cached_property
    def _bytes(self) -> float | None:
        there = gpu_bytes(self.there)
        return None if there is None else there / self.beside

    def places(self) -> list[str | None]:
        """The GPU of each worker that has one alone."""
        gpus: Sequence[str | None] = self.there or [None]
        count = self.processes or len(gpus)
        return [gpus[i % len(gpus)] for i in range(count)]


class _Run:
    """One pass of the engine over the packs of a job."""

    def __init__(self, engine: LocalEngine, job: Job, packs: list[Pack], progress: Progress):
        self.engine, self.job, self.progress = engine, job, progress
        self.waiting = packs
        self.specs = {pack.name: job.write_spec(pack) for pack in packs}
        self.ended: set[str] = set(job.plan.keys("done", "not needed"))
        """Stages about which nothing more will happen, well or not."""
        self.workers: list[Worker] = []
        self.free = self.engine.places()
        """GPUs without a worker, one entry for each that could be there."""
        self.counts = {pack.name: self.engine.gpus_of(pack) for pack in packs}
        """Pack -> GPUs that it gets."""
        self.born = 0
        self.stalls: Counter[str] = Counter()
        """Stage -> how often it was ended since it hung."""
        self.silent: set[str] = set()
        """Stages that were silent for too long at the last look."""
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
            self.progress.console.print("interrupted: saving checkpoints ...", highlight=False)
            self._interrupt()
            raise Interrupted(
                "interrupted: checkpoints are saved and finished stages are kept. Run the same command to go on."
            ) from None
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
        worker = Worker(places, self.engine, log)
        self.born += 1
        self.workers.append(worker)
        return worker

    def _listen(self) -> None:
        try:
            worker, event = self.engine._events.get(timeout=TICK_SECONDS)
        except queue.Empty:
            self.progress.tick()
            return
        if worker not in self.workers:
            return
        if "start" in event:
            worker.running = event["start"]
            self.progress.start(event["start"])
        elif "end" in event:
            worker.running = None
            self.ended.add(event["end"])
            self.progress.end(event["end"], event["outcome"])
        elif "pack" in event:
            worker.pack = None
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
        if worker.hung and worker.running and self.stalls[worker.running] < STALLS:
            self.stalls[worker.running] += 1
            self.progress.console.print(f"{worker.running[:10]}: no progress, it is repeated", highlight=False)
        elif status != LOST:  # there the stage that broke the GPU context has told so itself
            # Between two stages the next one is blamed: a pack that kills its workers must not go round for ever.
            blamed = worker.running or next(key for key in pack.keys if key not in self.ended)
            _record_death(self.job, blamed, status, worker)
            self.ended.add(blamed)
            self.progress.end(blamed, "failed")
        rest = tuple(stage for stage in pack.stages if stage.key not in self.ended)
        if rest:
            again = Pack(f"{pack.name}-{self.born}", rest, pack.waits_for)
            self.specs[again.name] = self.job.write_spec(again)
            self.counts[again.name] = self.counts[pack.name]
            self.waiting.insert(0, again)

    def _end_stalled(self) -> None:
        """Kill workers whose stage hangs: what is left of their packs goes to other workers, this stage too."""
        minutes, now = self.engine.stall_minutes, time.monotonic()
        if minutes is None or now - self.looked < min(10.0, 10 * minutes):
            return
        self.looked, clock = now, file_system_now(self.job.store.root / "claims")
        working = {worker.running: worker for worker in self.workers if worker.running}
        silent = {key for key in working if silent_seconds(self.job.store, key, clock) > 60 * minutes}
        # At two looks: a stage that begins again has not written anything for a moment.
        for key in silent & self.silent:
            working[key].hung = True
            working[key].process.kill()
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


def _record_death(job: Job, key: str, status: int, worker: Worker) -> None:
    cause = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    cause = f"ended after {STALLS} more tries, it made no progress" if worker.hung else cause
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
