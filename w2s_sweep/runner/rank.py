"""One of the processes that compute a stage together: `rank.py SPEC KEY OUT FOLDER`, started by `runner.ranks`.

Every rank runs the stage's code. The first one writes; what the others write goes to a folder that nobody reads.
"""

import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from w2s_sweep.errors import OutOfMemory, Preempted, W2SError
from w2s_sweep.models.device import pick_device
from w2s_sweep.models.ranks import Ranks, meet
from w2s_sweep.plan.stage import K
from w2s_sweep.runner.attempt import log_to
from w2s_sweep.runner.context import Context
from w2s_sweep.runner.ranks import HALVED, PREEMPTED, RANK, RANKS, SAVE, STOP
from w2s_sweep.runner.spec import Pack
from w2s_sweep.runner.worker import STOP_SIGNALS, configure_process
from w2s_sweep.store.files import write_json

log = logging.getLogger(__name__)


@dataclass
class RankContext(Context[K]):
    """The context of one rank: what depends on the clock or on requests is what rank 0 finds, and rank 0 alone tells of
    the stage."""

    ranks: Ranks = field(default_factory=Ranks)

    def checkpoint_due(self) -> bool:
        return self.ranks.agree(self.ranks.leads and super().checkpoint_due())

    def on_resume(self, step: int) -> None:
        if self.ranks.leads:
            super().on_resume(step)

    def on_save(self, step: int) -> None:
        if self.ranks.leads:
            super().on_save(step)

    def log(self, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        if self.ranks.leads:
            super().log(step, steps, metrics)

    def progress(self, step: int, steps: int) -> None:
        if self.ranks.leads:
            super().progress(step, steps)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """The most memory that any rank held is that of the stage: each has its own device."""
        most = {name: self.ranks.most(value) for name, value in self.describe().items()}
        self.describe = lambda: most
        if self.ranks.leads:
            super().finish(summary)


@dataclass(frozen=True)
class Requests:
    """What the stage's process asks for."""

    stop: threading.Event = field(default_factory=threading.Event)
    save: threading.Event = field(default_factory=threading.Event)

    def listen(self) -> None:
        """Until standard input ends, which it does when the process that holds the stage's claim is gone."""
        for line in sys.stdin:
            {STOP: self.stop, SAVE: self.save}[line.strip()].set()
        os._exit(1)


def run(spec: Path, key: str, out: Path, requests: Requests, ranks: Ranks, halved: int = 0) -> None:
    """Compute the stage `key` of a job file together with the other ranks; `halved`: how often passes were halved."""
    pack = Pack.read(spec)
    stage = next(stage for stage in pack.stages if stage.key == key)

    def stop() -> bool:
        return ranks.agree(requests.stop.is_set())

    context = RankContext(pack.store, stage, out, pack.run, stop, requests.save, halved=halved, ranks=ranks)
    if not ranks.leads:
        stage.settings.load()(context)
        return
    with log_to(context.work / "log.txt"):
        stage.settings.load()(context)


def leave(status: int) -> NoReturn:
    """At once: the others, and what waits for them, are the business of the stage's process."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main() -> None:
    configure_process()
    for number in (*STOP_SIGNALS, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    spec, key, out, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
    rank, size = int(os.environ[RANK]), int(os.environ[RANKS])
    requests = Requests()
    threading.Thread(target=requests.listen, name="requests", daemon=True).start()
    if rank:
        out = folder / f"out-{rank}"
        out.mkdir()
    try:
        use(rank)
        with meet(rank, size, folder / "meeting") as ranks:
            try:
                run(Path(spec), key, out, requests, ranks, int(os.environ[HALVED]))
            except Preempted:
                raise
            except Exception as error:
                fail(error, folder, rank, size)  # before the others hear of it, who fail of that
    except Preempted:
        leave(PREEMPTED)
    except Exception as error:
        fail(error, folder, rank, size)
    leave(0)


def fail(error: Exception, folder: Path, rank: int, size: int) -> NoReturn:
    """The boundary: the stage's process says what became of the stage."""
    text, memory = explain(error, f"rank {rank} of {size}"), is_out_of_memory(error)
    write_json(folder / f"failed-{rank}.json", {"error": text, "time": time.time(), "memory": memory})
    leave(1)


def explain(error: Exception, who: str) -> str:
    """What the stage's process is told of an error of this rank."""
    if isinstance(error, W2SError):
        return str(error)
    if is_out_of_memory(error):
        return (
            f"out of memory on {who}: {error} Lower micro_batch_tokens or dataset.max_tokens, or ask for more GPUs; "
            "the last checkpoint is kept."
        )
    return f"{who}: {traceback.format_exc()}"


def is_out_of_memory(error: Exception) -> bool:
    """Whether smaller passes may help."""
    # By its name that of torch, which may be what could not be loaded.
    return isinstance(error, OutOfMemory) or type(error).__name__ == "OutOfMemoryError"


def use(rank: int) -> None:
    """Compute on this rank's GPU; W2SError where there are fewer GPUs than ranks."""
    import torch

    if not torch.cuda.is_available():
        pick_device()  # says so where a GPU was given
        return
    if rank >= torch.cuda.device_count():
        raise W2SError(
            f"device: rank {rank} of this stage has no GPU, {torch.cuda.device_count()} are visible. Lower "
            "hydra.launcher.gpus, or the resources.gpus of the model."
        )
    torch.cuda.set_device(rank)


if __name__ == "__main__":
    main()
