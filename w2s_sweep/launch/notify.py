"""A command of the user's own when a sweep has ended: a message, a mail, the next command."""

import os
import subprocess
import sys
from collections.abc import Iterable

from w2s_sweep.store import Store
from w2s_sweep.terminal import harmless

SECONDS = 120.0


def notify(command: str | None, store: Store, name: str, keys: Iterable[str], state: str | None = None) -> None:
    """Run it in a shell with W2S_SWEEP, W2S_STORE, W2S_STATE (done, failed, interrupted), and W2S_DONE and W2S_LEFT,
    numbers of stages. Whatever becomes of it, the sweep's results stay what they are."""
    if not command:
        return
    stages = list(keys)
    done = sum(store.is_done(key) for key in stages)
    variables = {"SWEEP": name, "STORE": str(store.root), "DONE": str(done), "LEFT": str(len(stages) - done)}
    variables["STATE"] = state or ("done" if done == len(stages) else "failed")
    env = os.environ | {f"W2S_{key}": value for key, value in variables.items()}
    try:
        status = subprocess.run(command, shell=True, env=env, timeout=SECONDS, check=False).returncode
    except subprocess.TimeoutExpired:
        status = f"no end in {SECONDS:g} s"
    if status:
        print(harmless(f"hydra.launcher.notify: {command!r} failed ({status})"), file=sys.stderr)
