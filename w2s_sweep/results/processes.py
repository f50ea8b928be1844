"""Work in processes beside this one, which are forked: they start at once, with all that this one has read, imported
and registered, and only what a job returns comes back.

A process that another one could hang in is not forked: with threads of Python, or with a library that has its own.
"""

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from w2s_sweep.errors import W2SError

MOST = 4
"""Processes, this one among them: a login node has a hundred cores, and they are not one user's."""
MOST_JOBS = 2**12
"""As many numbers of two bytes as any pipe holds."""
THREADED = ("torch", "jax", "tensorflow")
"""Libraries with threads and devices that do not outlive a fork."""
DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""
_ALONE: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def stay_alone() -> Generator[None]:
    """Within, all is done in this process: it is to leave the other cores to others."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def count_processes() -> int:
    """How many processes can work for this one, itself among them."""
    threaded = threading.active_count() > 1 or any(name in sys.modules for name in THREADED)
    # A process of a pool may have none of its own.
    unsafe = threaded or multiprocessing.current_process().daemon or not sys.platform.startswith("linux")
    return 1 if unsafe or _ALONE.get() else min(MOST, len(os.sched_getaffinity(0)))


def run_beside(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """What jobs return, in their order: each is done by the next process that is free, this one among them.

    Raises what the first of them that failed raised. W2SError where a process was killed.
    """
    count = min(count_processes(), len(jobs))
    if count < 2 or len(jobs) > MOST_JOBS:
        return [job() for job in jobs]
    queue = _Queue.of(len(jobs))
    beside = list[_Beside]()
    try:
        with suppress(OSError):  # a node gives a user so many processes: those that are there do all
            for _ in range(count - 1):
                beside.append(_Beside.start(jobs, queue))
        done = dict(_work(jobs, queue))
        for one in beside:
            done |= one.receive()
    finally:
        for one in beside:
            one.end()
        queue.close()
    return [done[number].take() for number in sorted(done)]  # of a failure all before it are done


@dataclass(frozen=True)
class _Queue:
    """The numbers of jobs that nobody has begun, in a pipe: whoever reads one has it."""

    read: int
    write: int

    @classmethod
    def of(cls, jobs: int) -> "_Queue":
        queue = cls(*os.pipe())
        os.write(queue.write, b"".join(number.to_bytes(2, "big") for number in range(jobs)))
        os.set_blocking(queue.read, False)
        return queue

    def take(self) -> int | None:
        try:
            return int.from_bytes(os.read(self.read, 2), "big")
        except BlockingIOError:  # empty
            return None

    def clear(self) -> None:
        while self.take() is not None:
            pass

    def close(self) -> None:
        os.close(self.read)
        os.close(self.write)


@dataclass(frozen=True)
class _Done:
    """What became of a job."""

    found: Any = None
    error: BaseException | None = None

    def take(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.found


def _work(jobs: Sequence[Callable[[], Any]], queue: _Queue) -> Iterator[tuple[int, _Done]]:
    """Number and what became of it, of the jobs that this process does; nobody begins another one after a failure."""
    while (number := queue.take()) is not None:
        try:
            done = _Done(jobs[number]())
        except Exception as error:
            queue.clear()
            done = _Done(error=error)
        yield number, done


@dataclass(frozen=True)
class _Beside:
    """Another process."""

    process: Any
    found: Connection

    @classmethod
    def start(cls, jobs: Sequence[Callable[[], Any]], queue: _Queue) -> "_Beside":
        context = multiprocessing.get_context("fork")
        read, write = context.Pipe(duplex=False)
        process = context.Process(target=_serve, args=(jobs, queue, write, os.getpid()), daemon=True)
        with warnings.catch_warnings():
            # Of threads that are not Python's: those of BLAS and Arrow, which both put themselves right after a fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        write.close()
        return cls(process, read)

    def receive(self) -> dict[int, _Done]:
        try:
            packed: dict[int, bytes] = self.found.recv()
        except EOFError:
            self.process.join()
            raise W2SError(
                f"a process that worked beside this one ended with exit code {self.process.exitcode}: was memory short?"
            ) from None
        return {number: _unpack(one) for number, one in packed.items()}

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.found.close()


def _serve(jobs: Sequence[Callable[[], Any]], queue: _Queue, write: Connection, parent: int) -> None:
    """In the other process: work, and send what was found."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal it goes to all, and the first process ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before it was watched
    # Each when it is done: at the end all would wait for it.
    write.send({number: _pack(done) for number, done in _work(jobs, queue)})


def _pack(done: _Done) -> bytes:
    """What travels: a result once, since there may be a million small things in it. An error says where it came from,
    as its trace does not travel, and is tried here, where it is known."""
    trace = "" if done.error is None else "".join(traceback.format_exception(done.error))
    if done.error is not None and not isinstance(done.error, W2SError):
        done.error.add_note(trace)
    try:
        packed = pickle.dumps(done)
        if done.error is not None:
            pickle.loads(packed)
    except Exception as error:  # of a metric of one's own: its class is anything
        return pickle.dumps(_Done(error=W2SError(trace) if trace else _no_traveller(error)))
    return packed


def _unpack(packed: bytes) -> _Done:
    try:
        return pickle.loads(packed)
    except Exception as error:
        return _Done(error=_no_traveller(error))


def _no_traveller(error: Exception) -> W2SError:
    return W2SError(f"a result does not travel between processes: {error!r}")
