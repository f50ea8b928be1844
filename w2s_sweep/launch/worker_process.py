"""The local engine's side of a worker process: it is given packs, one after another, and tells what becomes of them."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from w2s_sweep.plan.packs import Pack


class Worker:
    """A process that runs one pack after another."""

    def __init__(self, places: Sequence[str | None], log: Path, events: Events, beside: int, cpu_ranks: int):
        """`places`: its GPUs, on which a process each computes a stage together; [None] for the CPU.

        `beside`: workers that share each GPU; `cpu_ranks`: processes that compute a stage together without one.
        """
        self.places, self.log = places, log
        self.pack: Pack | None = None
        self.running: list[str] = []
        """Keys of the stages that it works on, by their starts; several where they train at the same time."""
        self.hung = False
        """Whether it was ended since those stages made no progress."""
        gpus = [gpu for gpu in places if gpu is not None]
        env = os.environ | {"W2S_RANKS": str(len(gpus) or cpu_ranks)}  # models/device.py
        if gpus:
            given = {"CUDA_VISIBLE_DEVICES": ",".join(gpus), "W2S_GPUS": str(len(gpus))}
            env |= given | {"W2S_STAGES_PER_GPU": str(beside)}
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
        self._ear = threading.Thread(target=self._listen, args=(self.process.stdout, events), daemon=True)
        self._ear.start()

    def _listen(self, stdout: IO[str], events: Events) -> None:
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


Events = queue.Queue[tuple[Worker, dict[str, Any]]]
"""What workers tell: `start` and `end` of a stage, `pack` when one is over, `died`."""
