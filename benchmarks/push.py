"""A sweep of many stages through the uploader, killed in the middle and pushed again, to a server that counts rows.

    python -m benchmarks.push [--stages 200]

The real W&B client in processes of their own, and a server of the standard library. The exit status is 1 where a curve
is not there exactly once.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.clock import processor
from benchmarks.grid import ROOT
from benchmarks.tracking import environment
from tests.results_store import NAME, Shape, build
from tests.tracking.server import WandbServer, serve

CURVE = ((0.6, 0.6, 0.7), (0.6, 0.8, 0.8))
ROWS = {"weak": 5 + 2, "student": 5 + 3 * 2, "ceiling": 5 + 2, "summary": 1}
"""Of each run: training, then the evaluations of the stage, of agreement and of PGR; the summary's table."""


def push(store: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    words = ["-m", "w2s_sweep.cli", "--store", str(store), "push", NAME, "tracker=wandb", "tracker.project=p"]
    return subprocess.Popen([sys.executable, "-W", "ignore", *words], env=env, cwd=ROOT)


def kill_midway(process: subprocess.Popen[bytes], server: WandbServer, runs: int) -> None:
    while len(server.runs) < runs and process.poll() is None:
        time.sleep(0.1)
    process.kill()
    process.wait()
    print(f"killed when {len(server.runs)} runs were begun", flush=True)


def again(store: Path, env: Mapping[str, str]) -> None:
    began, before = time.monotonic(), processor(own=False)
    push(store, env).wait()
    print(
        f"{time.monotonic() - began:.1f} s, processor {processor(own=False) - before:.1f} s (report included)",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", type=int, default=200)
    seeds = range(-(-parser.parse_args().stages // 3))
    with TemporaryDirectory() as folder, serve() as server:
        store = build(Path(folder) / "store", Shape(n_test=40, share=(0.3, 0.35, 0.45), seeds=seeds, curve=CURVE))
        env = environment(Path(folder), server.url)
        kill_midway(push(store.root, env), server, len(seeds))
        again(store.root, env)
        again(store.root, env)
        wrong = [one for (_, _, one), run in server.runs.items() if len(run.history) != ROWS[run.about["jobType"]]]
    print(f"{len(server.runs)} runs, {len(wrong)} of them without every row exactly once")
    return 1 if wrong or len(server.runs) != 3 * len(seeds) + 1 else 0


if __name__ == "__main__":
    sys.exit(main())
