"""A process that runs packs: job files named on standard input (local), or one named on the command line (a cluster).

Events go to standard output as JSON lines: {"start": KEY}, {"end": KEY, "outcome": ...},
{"pack": PATH, "outcomes": ...}.
"""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from types import FrameType

from w2s_sweep.errors import DeviceLost, W2SError
from w2s_sweep.runner.attempt import LOG_FORMAT
from w2s_sweep.runner.pack import Pack, run_pack

EXIT = {"done": 0, "failed": 1, "blocked": 3, "preempted": 75}
"""Exit status by the worst outcome of a pack; 75 is EX_TEMPFAIL: run me again."""
LOST = 76
"""Exit status of a process whose GPU context broke: what is left needs another process."""
LOOK_SECONDS = 1.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)


def stop_on_signals() -> threading.Event:
    """An event that a signal to save the state and leave sets."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()

    for number in STOP_SIGNALS:
        signal.signal(number, ask)
    return asked


def when_orphaned(call: Callable[[], None], every: float = LOOK_SECONDS) -> None:
    """Call once the process that started this one is gone: nobody would learn of its results, and its place is free for
    another one. `every`: seconds between two looks."""
    parent, tick = os.getppid(), threading.Event()

    def watch() -> None:
        # A parent that is killed sends no signal; the kernel gives its child another parent.
        while os.getppid() == parent:
            tick.wait(every)
        call()

    threading.Thread(target=watch, name="parent", daemon=True).start()


def configure_process() -> None:
    """Job processes log what they do, and neither show progress bars of libraries nor talk to a model hub."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=LOG_FORMAT)
    defaults = {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "TOKENIZERS_PARALLELISM": "false",
        "TQDM_DISABLE": "1",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def emit(**event: object) -> None:
    print(json.dumps(event), flush=True)


def run_files(
    paths: Iterable[str],
    stopped: threading.Event,
    save: threading.Event | None = None,
    failed: Collection[str] = (),
) -> int:
    """Run the packs of the job files; returns the exit status of the last one.

    `stopped`: save and leave. `save`: save now and go on; cleared when that was done. `failed`: keys of stages that are
    not tried again. Raises DeviceLost.
    """
    status = 0
    for path in paths:
        pack = Pack.read(Path(path))
        if pack.run.threads:  # read by OpenMP when torch is loaded
            os.environ["OMP_NUM_THREADS"] = str(pack.run.threads)
        if pack.run.deterministic:  # read by cuBLAS at its first product; torch refuses to go on without it
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        outcomes = run_pack(
            pack,
            stopped.is_set,
            save=save or threading.Event(),
            starts=lambda stage: emit(start=stage.key),
            ends=lambda stage, outcome: emit(end=stage.key, outcome=outcome),
            failed=failed,
        )
        emit(pack=path, outcomes=outcomes)
        status = max((EXIT[outcome] for outcome in outcomes.values()), default=0)
        if stopped.is_set():
            break
    return status


def main() -> int:
    configure_process()
    stopped = stop_on_signals()
    when_orphaned(stopped.set)
    named = sys.argv[1:]
    try:
        return run_files(named or (line.strip() for line in sys.stdin), stopped)
    except DeviceLost as lost:
        logging.error("%s", lost)
        return LOST
    except W2SError as error:
        logging.error("%s", error)
        return 1


if __name__ == "__main__":
    sys.exit(main())
