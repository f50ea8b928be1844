"""The stage's process and those that compute the stage for it: it keeps the claim and computes nothing, so whatever
becomes of one of them, it can end the others and say why.

Requests travel on the standard input of the ranks, one word a line, and not as signals: a cluster sends its own to all
processes of a task, and those mean something else.
"""

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count as count_from
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, cast

from w2s_sweep.errors import OutOfMemory, Preempted, W2SError
from w2s_sweep.kinds import Kind
from w2s_sweep.plan.stage import Stage
from w2s_sweep.store.files import read_json

log = logging.getLogger(__name__)

RANK, RANKS = "W2S_RANK", "W2S_RANKS"
"""As in models/device.py, which loads torch."""
HALVED = "W2S_HALVED"
"""Environment variable that tells a rank how often passes were halved since they did not fit."""
HALVINGS = 3
"""So often at most: an eighth of what was planned is not what is in the way."""
PREEMPTED = 75
LOOK_SECONDS = 0.2
STOP, SAVE = "stop", "save"
"""Save and leave; save now and go on."""


def ranks_of(stage: Stage[Kind]) -> int:
    """How many processes compute a stage here: as many as the launcher has set, where it can be shared out."""
    return int(os.environ.get(RANKS, "1")) if stage.settings.can_shard else 1


def run_on_ranks(
    spec: Path, stage: Stage[Kind], out: Path, count: int, stop: Callable[[], bool], save: threading.Event
) -> None:
    """Compute `stage` of the job file `spec` in `count` processes, whose first one writes its files into `out`.

    Raises Preempted after a request to stop, and W2SError where one of them fails: then the others are ended. Where one
    runs out of memory the others are in the middle of the same pass, so all begin anew, from what the stage has kept,
    with half as large passes.
    """
    _free_device()
    log.info("%s is computed by %d processes", stage.label, count)
    for halved in count_from():
        try:
            _compute(spec, stage, out, count, halved, stop, save)
            return
        except OutOfMemory as error:
            if halved == HALVINGS:
                raise
            if stop():
                raise Preempted from error
            log.warning("all %d processes begin anew from what is kept, with half as large passes: %s", count, error)
        for left in out.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _compute(
    spec: Path,
    stage: Stage[Kind],
    out: Path,
    count: int,
    halved: int,
    stop: Callable[[], bool],
    save: threading.Event,
) -> None:
    """`run_on_ranks` once; OutOfMemory where that is why one of them failed."""
    with TemporaryDirectory(prefix="w2s-ranks-") as folder:
        ranks = [_start(spec, stage.key, out, Path(folder), rank, count, halved) for rank in range(count)]
        try:
            statuses = _wait(ranks, stop, save)
        finally:
            for rank in ranks:
                rank.kill()
            for rank in ranks:
                rank.wait()
                with suppress(BrokenPipeError):
                    _stdin(rank).close()
        _judge(stage.label, statuses, Path(folder))


def _free_device() -> None:
    """Let go of what earlier stages of this process left on the first GPU."""
    if "w2s_sweep.runner.process_cache" in sys.modules:
        from w2s_sweep.runner import process_cache

        process_cache.forget()


def _start(
    spec: Path, key: str, out: Path, folder: Path, rank: int, count: int, halved: int
) -> "subprocess.Popen[str]":
    env = os.environ | {RANK: str(rank), RANKS: str(count), HALVED: str(halved)}
    env.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    words = [sys.executable, "-m", "w2s_sweep.runner.rank", str(spec), key, str(out), str(folder)]
    # Standard output is where a worker tells its events.
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=sys.stderr.fileno(), env=env, text=True)


def _wait(ranks: Sequence["subprocess.Popen[str]"], stop: Callable[[], bool], save: threading.Event) -> list[int]:
    """Until all have ended, or one has failed; on the way they hear of requests, the first one for all of them.

    Returns the exit statuses of those that ended by themselves; 0 stands for the others.
    """
    asked = False
    while (running := [rank for rank in ranks if rank.poll() is None]) and not any(map(_has_failed, ranks)):
        if not asked and stop():
            asked = True
            _ask(ranks[0], STOP)
        if save.is_set():
            save.clear()
            _ask(ranks[0], SAVE)
        with suppress(subprocess.TimeoutExpired):
            running[0].wait(LOOK_SECONDS)
    for rank in ranks:  # a moment for whoever failed first and is not gone yet
        with suppress(subprocess.TimeoutExpired):
            rank.wait(LOOK_SECONDS)
    return [rank.returncode or 0 for rank in ranks]


def _has_failed(rank: "subprocess.Popen[str]") -> bool:
    # One that left on request is no failure: the first rank may still be writing the checkpoint.
    return rank.returncode not in (None, 0, PREEMPTED)


def _ask(rank: "subprocess.Popen[str]", word: str) -> None:
    with suppress(BrokenPipeError):
        _stdin(rank).write(f"{word}\n")
        _stdin(rank).flush()


def _stdin(rank: "subprocess.Popen[str]") -> IO[str]:
    return cast(IO[str], rank.stdin)


def _judge(what: str, statuses: Sequence[int], folder: Path) -> None:
    """Nothing where all is done; else the error of whichever rank failed first: the others fail of its absence. But of
    memory, which more than one may lack, before all else."""
    if killed := [f"{rank} ({signal.Signals(-status).name})" for rank, status in enumerate(statuses) if status < 0]:
        raise W2SError(
            f"{what}: of the {len(statuses)} processes that compute it, {', '.join(killed)} died. The kernel kills "
            "processes when memory runs out: ask for more of it (SLURM: hydra.launcher.memory_gb), or for fewer GPUs."
        )
    records = [record for path in folder.glob("failed-*.json") if (record := read_json(path))]
    if records:
        first = min(records, key=lambda record: (not record["memory"], record["time"]))
        raise (OutOfMemory if first["memory"] else W2SError)(first["error"])
    if failed := [status for status in statuses if status not in (0, PREEMPTED)]:
        raise W2SError(f"{what}: a process that computes it ended with status {failed[0]}; its log is above.")
    if PREEMPTED in statuses:
        raise Preempted
