"""The check of one GPU, about five minutes: right numbers, planned memory, speed, and what becomes of faults.

    python -m benchmarks.gpu [--minutes 5] [--out gpu.json] [--parts parity,gpt2-full] [--device cuda] [--tiny]

Needs torch, transformers, peft and what `make gpu-bundle` collects; it fetches nothing: models are of published shapes
with random weights. Parts run in a process beside this one, which is ended when the time is up. `--device cpu --tiny`
is how the check itself is tested. The exit status is 1 where a part failed, or found what should not be.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

STUDENTS = "co-trained students"
PARTS = (
    "products",
    "parity",
    "out of memory",
    "broken context",
    "gpt2 full",
    "gpt2-xl full",
    "llama3.1-8b lora",
    "decoding",
    STUDENTS,
)
PATIENCE = 2.0
"""Seconds in which a process may end by itself."""
LAST_OF_A_PROCESS = ("broken context",)
"""Parts after which a process is of no use."""
Found = dict[str, Any]


def part_of(name: str, folder: Path, device: str, *, tiny: bool, rates: dict[str, float], end: float) -> Found:
    """What a part finds."""
    import torch

    from benchmarks.card import decoding, faults, made_up, parity, speed, students

    if name == "products":
        return about(device) | {"FLOP/s": speed.product_rate(torch.device(device), 256 if tiny else 8192)}
    simple: dict[str, Callable[[], Found]] = {
        "parity": partial(parity.run, folder, device, tiny=tiny),
        "out of memory": partial(faults.out_of_memory, folder, device),
        "broken context": partial(faults.broken_context, folder, device),
        "decoding": partial(decoding.run, device, tiny=tiny, left=lambda: end - time.time()),
        STUDENTS: partial(students.run, device, tiny=tiny, left=lambda: end - time.time()),
    }
    if name in simple:
        return simple[name]()
    scale = next(scale for scale in made_up.scales(tiny=tiny) if scale.name == name)
    return speed.run(folder, scale, device, rates, lambda: end - time.time())


def about(device: str) -> Found:
    """The device and the libraries."""
    import peft
    import torch
    import transformers

    from w2s_sweep.models.device import memory_bytes, name_of

    where = torch.device(device)
    return {
        "device": name_of(where),
        "memory GB": (memory_bytes(where) or 0) / 1e9 or None,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
    }


def answer(pipe: Connection, device: str) -> None:
    """The whole life of a process that runs parts: they come through the pipe, and what they find goes back."""
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    while True:
        try:
            folder, name, arguments = pipe.recv()
            pipe.send(part_of(name, folder, device, **arguments))
        except EOFError:
            return
        except Exception:  # the boundary: what one part runs into is a finding, and no end of the others
            pipe.send({"good": False, "failed": traceback.format_exc()[-3000:]})


class Isolated:
    """Runs parts in a process beside this one, which is ended when the time is up; another one then takes its place.

    One process for many parts: libraries are loaded once.
    """

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.process: BaseProcess | None = None

    def __call__(self, name: str, folder: Path, device: str, **arguments: Any) -> Found:
        if self.process is None:
            self.pipe, theirs = self.context.Pipe()
            self.process = self.context.Process(target=answer, args=(theirs, device))
            self.process.start()
            theirs.close()
        process = self.process
        try:
            self.pipe.send((folder, name, arguments))
            if self.pipe.poll(max(0.0, arguments["end"] - time.time())):
                found = self.pipe.recv()
                if name in LAST_OF_A_PROCESS:
                    self.end()
                return found
            self.end()
            return {"skipped": "ended before it was done: the time is up"}
        except (EOFError, BrokenPipeError):
            self.end()
            return {"good": False, "failed": f"its process died with status {process.exitcode}"}

    def end(self) -> None:
        """No process is left."""
        if self.process is not None:
            self.pipe.close()  # where it waits for the next part, this ends it
            self.process.join(PATIENCE)
            self.process.kill()
            self.process.join()
        self.process = None


def check(parts: list[str], device: str, minutes: float, *, tiny: bool, run: Callable[..., Found], out: Path) -> Found:
    """All parts, one after another; what was found so far is in `out` at any time."""
    began, rates, found = time.time(), dict[str, float](), Found()
    end = began + 60 * minutes
    for name in parts:
        if time.time() >= end:
            found[name] = {"skipped": "the time is up"}
        else:
            with tempfile.TemporaryDirectory() as folder:
                at = time.time()
                found[name] = run(name, Path(folder), device, tiny=tiny, rates=rates, end=end)
                found[name]["seconds"] = round(time.time() - at, 1)
        rates = found.get("products", {}).get("FLOP/s", rates)
        said = found[name].get("skipped") or found[name].get("failed") or f"{found[name].get('seconds')} s"
        print(f"{name}: {said}", flush=True)
        record = {"date": time.strftime("%Y-%m-%d"), "tiny": tiny, "minutes": minutes, "parts": found}
        out.write_text(json.dumps(record, indent=1) + "\n")
    return found


def main(argv: list[str] | None = None, run: Callable[..., Found] | None = None) -> int:
    """`run` is how a part is run: in a process beside this one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--parts", default=",".join(PARTS), help="of: %(default)s; speed needs products")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="models of hardly any weights")
    args = parser.parse_args(argv)
    parts = args.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--parts: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    beside = Isolated()
    try:
        found = check(parts, args.device, args.minutes, tiny=args.tiny, run=run or beside, out=args.out)
    finally:
        beside.end()
    print(args.out)
    return int(any(part.get("good") is False for part in found.values()))


if __name__ == "__main__":
    sys.exit(main())
