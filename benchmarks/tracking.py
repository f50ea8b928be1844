"""What a tracker costs the training of a sweep: offline, and with a server that takes requests and never answers.

    python -m benchmarks.tracking [--repeats 3] [--json FILE]

The same three stages with every tracker in turns, each time in a new store and a process of its own; seconds of the
stages as their summary.json has them, and those of the whole command. Ratios are to `tracker=none` in the same round.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.grid import ROOT, tiny_grid
from tests.tracking.server import serve

NONE = "none"
TRACKERS: Mapping[str, Sequence[str]] = {
    NONE: ("tracker=none",),
    "wandb offline": ("tracker=wandb", "tracker.mode=offline"),
    "wandb, server hangs": ("tracker=wandb", "tracker.mode=online"),
}


def environment(folder: Path, url: str) -> dict[str, str]:
    """That of a machine that is logged in to the server, whatever this one is logged in to."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    env |= {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": url, "WANDB_CONFIG_DIR": str(folder)}
    return env | {"NETRC": str(folder / "netrc"), "OMP_NUM_THREADS": "1"}


def run(words: Sequence[str], store: Path, env: Mapping[str, str]) -> tuple[float, float]:
    """(seconds of the trained stages, seconds of the command). The status is not looked at: an outage is no failure of
    the sweep, and stages without a result would be missed below."""
    began = time.monotonic()
    command = [sys.executable, "-W", "ignore", "launch.py", *words, f"store={store}"]
    done = subprocess.run(command, env={**env}, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wall = time.monotonic() - began
    found = [json.loads(path.read_text()) for path in store.glob("stages/*/summary.json")]
    trained = [one["seconds"] for one in found if "accuracy/test" in one]
    if len(trained) != 3:
        sys.exit(f"{len(trained)} of 3 trained stages:\n{done.stdout.decode()[-2000:]}")
    return sum(trained), wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    words = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in TRACKERS}
    with TemporaryDirectory() as name, serve() as server:
        folder, server.fault = Path(name), lambda operation, before: "hang"
        grid = [word for word in tiny_grid(folder) if not word.startswith("tracker")] + ["finetune.epochs=6"]
        for repeat in range(words.repeats):
            for tracker, said in TRACKERS.items():
                store = folder / f"{repeat} {tracker}".replace(" ", "-").replace(",", "")
                found[tracker].append(run([*grid, *said], store, environment(folder, server.url)))
                print(
                    f"{tracker:22} stages {found[tracker][-1][0]:6.1f} s  command {found[tracker][-1][1]:6.1f} s",
                    flush=True,
                )
    ratios = {
        name: [one / base for (one, _), (base, _) in zip(runs, found[NONE], strict=True)]
        for name, runs in found.items()
    }
    for name, values in ratios.items():
        print(f"{name:22} training seconds x {median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
    if words.json:
        words.json.write_text(json.dumps({"seconds": found, "ratios": ratios}, indent=1))


if __name__ == "__main__":
    main()
