"""Sweeps under random faults of a real SLURM (benchmarks/chaos.py), with a few faults."""

import re
import subprocess
import sys

from tests.slurm.cluster import missing
from tests.slurm.conftest import require
from tests.slurm.launching import ROOT


def test_nothing_is_lost_and_nothing_is_done_twice_under_faults():
    require(missing(accounting=False))
    words = [sys.executable, "-m", "benchmarks.chaos", "--faults", "5", "--seed", "3"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    line = done.stdout.splitlines()[-1]
    assert int(re.findall(r"^chaos: (\d+) faults", line)[0]) >= 5
    promises = "results lost: 0; stages retrained beyond their checkpoint: 0; stages trained again: 0; sweeps stuck: 0"
    assert line.endswith(f"{promises}; tables equal: yes"), line
