"""A grid of cells against the same cells one by one, a second time, and with students that train at the same time.

    python -m benchmarks.sharing [--grids probes,lora] [--alone 3] [--out FILE.json]

Real models and sentences out of packages, a command of its own for each sweep, imports included, in one process of one
thread. Of the cells one by one, each in a store of its own, `--alone` are run, spread over the grid; the median stands
for all. Seconds of the processor hardly change with what else a machine does; those of the wall do.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.clock import processor
from benchmarks.grid import ROOT

LOSSES = ("xent", "confidence", "product", "entropy")
COMMON = ("dataset=movie_sentiment", "threads=1", "tracker=none", "test_evaluations=0", "hydra.launcher.processes=1")
SMALL = ("dataset.n_train=100", "dataset.n_test=30", "model@weak=smollm2_135m_first4", "finetune.epochs=1")
"""Fine-tuning: 4 blocks supervise 6, on 100 rows for both halves and validation."""


@dataclass(frozen=True)
class Grid:
    """Losses x seeds, all else equal."""

    seeds: int
    overrides: Sequence[str]
    cotrain: int = 1
    """Students that train at once in a further run."""

    @property
    def cells(self) -> list[tuple[str, int]]:
        return list(product(LOSSES, range(self.seeds)))

    def spread(self, count: int) -> list[tuple[str, int]]:
        """So many of its cells, evenly spaced."""
        return self.cells[:: max(1, len(self.cells) // count)][:count]


GRIDS: Mapping[str, Grid] = {
    "probes": Grid(6, ["finetune=probe", "dataset.n_train=300", "dataset.n_test=60"]),
    "lora": Grid(
        3, [*SMALL, "finetune=lora", "strong.keep_layers=6", "strong.params=49600000", "strong.name=first6"], 4
    ),
}


@dataclass(frozen=True)
class Spent:
    """Seconds of a command and of the processes that it started."""

    wall: float
    processor: float


def spend(words: Sequence[str]) -> tuple[Spent, str]:
    """Run launch.py; what it took, and what it printed."""
    began, before = time.perf_counter(), processor(own=False)
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "launch.py", *words]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"launch.py {' '.join(words)}: {done.stdout}{done.stderr}")
    spent = Spent(time.perf_counter() - began, processor(own=False) - before)
    print(f"{spent.wall:6.1f} s, processor {spent.processor:6.1f} s: {' '.join(words[-2:])}", flush=True)
    return spent, done.stdout


def measure(grid: Grid, folder: Path, alone: int) -> dict[str, Any]:
    """The grid, the grid again, and some of its cells in stores of their own."""
    losses, seeds = ",".join(LOSSES), ",".join(map(str, range(grid.seeds)))
    words = ["-m", *COMMON, *grid.overrides, f"loss={losses}", f"seed={seeds}"]
    together, said = spend([*words, f"store={folder / 'grid'}"])
    again, _ = spend([*words, f"store={folder / 'grid'}"])
    at_once = None
    if grid.cotrain > 1:
        at_once, _ = spend([*words, f"store={folder / 'at-once'}", f"cotrain={grid.cotrain}"])
    one_by_one = [
        spend([*COMMON, *grid.overrides, f"store={folder / f'alone-{i}'}", f"loss={loss}", f"seed={seed}"])[0]
        for i, (loss, seed) in enumerate(grid.spread(alone))
    ]
    count = len(grid.cells)
    all_alone = Spent(*(count * statistics.median(getattr(one, of) for one in one_by_one) for of in _names()))
    return {
        "cells": count,
        "load": os.getloadavg(),
        "stages": next((line.strip() for line in said.splitlines() if "unique" in line), ""),
        "together": asdict(together),
        "again": asdict(again),
        "one by one, measured": [asdict(one) for one in one_by_one],
        "one by one, all": asdict(all_alone),
        "ratio": {of: getattr(all_alone, of) / getattr(together, of) for of in _names()},
    } | (
        {}
        if at_once is None
        else {
            "students at once": grid.cotrain,
            "at once": asdict(at_once),
            "together by at once": {of: getattr(together, of) / getattr(at_once, of) for of in _names()},
        }
    )


def _names() -> tuple[str, ...]:
    return "wall", "processor"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grids", default=",".join(GRIDS), help="of: %(default)s")
    parser.add_argument("--alone", type=int, default=3, help="cells that are run one by one (default: 3)")
    parser.add_argument("--out", type=Path, default=Path("sharing.json"))
    words = parser.parse_args()
    found: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "machine": platform.machine(), "cpus": os.cpu_count()}
    for name in words.grids.split(","):
        with tempfile.TemporaryDirectory(prefix="w2s-sharing-") as folder:
            found[name] = measure(GRIDS[name], Path(folder), words.alone)
        print(name, json.dumps(found[name], indent=1), flush=True)
        words.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
